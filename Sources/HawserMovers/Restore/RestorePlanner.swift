import HawserFormat
import HawserRepository
import HawserStorage

/// Goes through the entries of a snapshot in order, makes everything that has no content, and has the content fetched
/// in windows: so memory is bounded however many files there are.
struct RestorePlanner: Sendable {
    let repository: Repository
    let request: RestoreRequest
    let tree: RestoreTree
    let counters: RestoreCounters
    let problems: ProblemLog
    let meters: RestoreMeters

    /// A file of one chunk is written in one go.
    private static let wholeFileLimit: UInt64 = 4 << 20

    func run() async throws {
        var links = RestoreLinks(tree)
        let counters = counters
        var deletion =
            request.options.deletes
            ? RestoreDeletion(tree, sources: restoredSources) { _ in counters.add { $0.deleted += 1 } } : nil
        let reader = BlobReader(repository)
        var hasMatch = false
        try await fetching { queue in
            var window = RestoreWindow(queue)
            hasMatch = try await forEachEntry { error in
                problems.add(error.place.flatMap { EntryPath($0.utf8) } ?? .root, error)
                // What can't be seen any more must not look like what is not in the snapshot.
                deletion = nil
            } _: { entry, isWanted in
                var action: RestoreAction?
                if isWanted {
                    do {
                        action = try await place(entry, &links, &window, reader)
                    } catch let error as HawserError where error.code != .storageFull {
                        problems.add(entry.path, error)
                    }
                }
                deletion?.visit(entry.path, entry.kind == .directory ? action : nil)
                try await flushIfFull(&window)
            }
            try await window.flush()
        }
        deletion?.finish()
        try await makeLinks(links, reader)
        try tree.finishDirectories()
        if !hasMatch { throw HawserError(.notFound, "Nothing in the snapshot matches what is to be included.") }
    }

    /// Fetches beside `plan` what it hands on. Returns when all of it is written.
    private func fetching(_ plan: (RestoreQueue) async throws -> Void) async throws {
        let queue = RestoreQueue(meters.plan)
        let fetcher = RestoreFetcher(
            repository: repository,
            tree: tree,
            counters: counters,
            problems: problems,
            meters: meters,
            memory: request.memory
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await fetcher.run(queue) }
            // What ended the fetcher is thrown below.
            do { try await plan(queue) } catch is RestoreQueue.Ended {}
            queue.planIsDone()
            try await group.waitForAll()
        }
    }

    /// The snapshot's paths as they are below the target.
    private var restoredSources: [EntryPath] {
        request.snapshot.paths.compactMap { EntryPath($0) }.compactMap { source in
            source.contains(request.subtree) ? .root : source.relative(to: request.subtree)
        }
    }

    /// Every entry of the snapshot, at its path below the target, and whether it is to be restored.
    ///
    /// - Parameter damage: called for parts of the tree that can't be read. Later passes meet the same ones.
    /// - Returns: whether `include` matches anything.
    @discardableResult
    func forEachEntry(
        damage: (HawserError) -> Void = { _ in },
        _ body: (Entry, _ isWanted: Bool) async throws -> Void
    ) async throws -> Bool {
        let scope = request.subtree.isRoot ? PathScope.all : PathScope(subtrees: [request.subtree])
        var entries = repository.entries(of: request.snapshot.root, in: scope).makeAsyncIterator()
        var hasMatch = request.include.isEmpty
        while true {
            try Task.checkCancellation()
            do {
                guard var entry = try await entries.next() else { break }
                let path = entry.path
                hasMatch = hasMatch || request.include.matches(path)
                if path.isRoot || path == request.subtree, entry.kind == .directory { continue }
                if !request.subtree.isRoot, let relative = path.relative(to: request.subtree), !relative.isRoot {
                    entry.path = relative
                } else if !request.subtree.isRoot {
                    // A single file: it lands under its name.
                    guard let single = EntryPath(path.name) else { continue }
                    entry.path = single
                }
                let isWanted = isWanted(path, entry.kind)
                try await body(entry, isWanted)
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                hasMatch = true
                damage(error)
            }
        }
        return hasMatch
    }

    private func isWanted(_ path: EntryPath, _ kind: Entry.Kind) -> Bool {
        if !request.include.isEmpty, !request.include.matches(path),
            kind != .directory || !request.include.mayMatch(below: path)
        {
            return false
        }
        return !request.exclude.matches(path)
    }

    private func place(
        _ entry: Entry,
        _ links: inout RestoreLinks,
        _ window: inout RestoreWindow,
        _ reader: BlobReader
    ) async throws -> RestoreAction? {
        var entry = entry
        if let blob = entry.attributeBlob {
            do {
                entry.attributes = try AttributeBlob.decode(await reader.read(blob, type: .attribute))
            } catch let error as HawserError {
                problems.add(entry.path, error)
            }
        }
        switch entry.kind {
        case .directory:
            let action = try tree.makeDirectory(entry)
            counters.count(action, of: entry)
            return action
        case .symlink, .fifo, .socket, .characterDevice, .blockDevice:
            if entry.linkGroup != nil, try links.role(of: entry, tree.plan(entry)) == .link { return nil }
            counters.count(
                entry.kind == .symlink ? try tree.makeSymlink(entry) : try tree.makeSpecial(entry),
                of: entry
            )
        case .file:
            if entry.linkGroup != nil, try links.role(of: entry, tree.plan(entry)) == .link { return nil }
            try await placeFile(entry, &window, reader)
        }
        return nil
    }

    private func placeFile(_ entry: Entry, _ window: inout RestoreWindow, _ reader: BlobReader) async throws {
        switch entry.content {
        case nil: try finishWhole(entry, [])
        case .inline(let bytes): try finishWhole(entry, bytes)
        case .extents(let extents):
            if extents.count == 1, case .data(let id, let length) = extents[0], UInt64(length) == entry.size,
                entry.size <= Self.wholeFileLimit
            {
                // What is kept needs no content; asking costs a system call that a fresh target spares.
                if tree.options.dryRun || !tree.targetIsNew {
                    let action = try tree.plan(entry)
                    if tree.options.dryRun || action == .kept || action == .updated {
                        return try settle(tree.makeFile(entry), entry)
                    }
                }
                window.add(id, length: length, to: .whole(entry))
                return
            }
            fallthrough
        case .list:
            switch try tree.makeFile(entry) {
            case .settled(let action): counters.count(action, of: entry)
            case .write(let file):
                let pending = PendingFile(file)
                window.open(entry)
                do {
                    try await plan(entry, pending, &window, reader)
                } catch let error as HawserError where error.code != .storageFull {
                    // Named once, also when one of its chunks fails later or has failed already.
                    if pending.fail() { throw error }
                    return
                }
                try pending.planIsDone(counters)
            }
        }
    }

    private func plan(
        _ entry: Entry,
        _ pending: PendingFile,
        _ window: inout RestoreWindow,
        _ reader: BlobReader
    ) async throws {
        var offset: UInt64 = 0
        try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
            switch extent {
            case .data(let id, let length):
                pending.expect()
                window.add(id, length: length, to: .part(pending, offset: offset))
            case .zero(let length): try pending.file.writeZeros(at: offset, count: UInt64(length))
            case .hole: break
            }
            offset += UInt64(extent.length)
            if window.isFull {
                try await window.flush()
                window.open(entry)
            }
        }
    }

    private func settle(_ decision: RestoreTree.FileDecision, _ entry: Entry) throws {
        if case .settled(let action) = decision { counters.count(action, of: entry) }
    }

    private func finishWhole(_ entry: Entry, _ bytes: [UInt8]) throws {
        let action = try bytes.withUnsafeBytes { try tree.writeFile(entry, $0) }
        counters.count(action, of: entry)
        if action == .created || action == .replaced { counters.add { $0.bytes += entry.size } }
    }

    private func flushIfFull(_ window: inout RestoreWindow) async throws {
        if window.isFull { try await window.flush() }
    }

    private func makeLinks(_ links: borrowing RestoreLinks, _ reader: BlobReader) async throws {
        // In the order of the walk, like the list of those that wait.
        var needContent = RestoreSpool(directory: tree.root?.descriptor ?? -1)
        let tree = tree
        let problems = problems
        try links.forEachWaiting { path, first in
            do {
                if case .needsContent = try tree.makeHardLink(path, to: first) { try needContent.append(path.bytes) }
            } catch let error as HawserError {
                problems.add(path, error)
            }
        }
        if needContent.end == 0 { return }
        var position = 0
        var wanted = try needContent.next(&position)
        var none = RestoreLinks(tree)
        try await fetching { queue in
            var window = RestoreWindow(queue)
            try await forEachEntry { entry, _ in
                guard let next = wanted, entry.path.bytes == next else { return }
                wanted = try needContent.next(&position)
                var single = entry
                single.linkGroup = nil
                do {
                    // By the general way, which knows all kinds of entries and loads their attributes.
                    _ = try await place(single, &none, &window, reader)
                } catch let error as HawserError where error.code != .storageFull {
                    problems.add(single.path, error)
                }
                try await flushIfFull(&window)
            }
            try await window.flush()
        }
    }
}
