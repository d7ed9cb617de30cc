import CHawser
import HawserFormat

/// One walk over a file tree, by one task. Everything is found relative to its directory's descriptor, so that neither long paths nor
/// directories that are moved or replaced meanwhile lead it astray.
final class TreeWalk {
    typealias Visit = (SourceItem) async throws -> Void
    typealias Group = ThrowingTaskGroup<ScanAhead.Finished, any Error>

    /// A directory whose entries were given and whose subdirectories come now.
    private struct Level {
        var serial: Int
        var handle: DirectoryHandle?
        /// Known once the handle was given back.
        var identity: FileIdentity?
        /// The file system that the walk stays on below, with `staysOnFileSystem`.
        var device: UInt64
        var subdirectories = DirectoryListing()
        /// Those of which only the names that lead to given paths are walked.
        var narrowed: Set<Int> = []
        /// Those that are on another file system.
        var devices: [Int: UInt64] = [:]
        var next = 0
    }

    private let source: FileTreeSource
    private var pace: ScanPace
    private var ahead = ScanAhead()
    private var levels: [Level] = []
    private var levelCount = 0
    /// The path of the last level. Kept once: in a deep tree the sum of all would be large.
    private var path = EntryPath.root
    /// Of given paths and what leads to them.
    private var failed: [EntryPath: HawserError] = [:]

    // Levels above these give back their descriptors: a tree can be deeper than the process may have files open.
    private static let openLevels = 32
    // Small enough that a status is asked for right before its entry is given, large enough to be timed.
    private static let batch = 64

    init(_ source: FileTreeSource, pace: ScanPace) {
        self.source = source
        self.pace = pace
    }

    func run(_ visit: Visit) async throws {
        try await withThrowingTaskGroup(of: ScanAhead.Finished.self) { group in
            try await enterRoot(visit)
            while let level = levels.last {
                try Task.checkCancellation()
                if level.next < level.subdirectories.count {
                    try await descend(visit, &group)
                } else {
                    try await leave(visit)
                }
            }
        }
        // Of nothing there is no snapshot, which would count among those that are kept.
        guard var error = failed.min(by: { $0.key < $1.key })?.value else { return }
        let isSomething = source.roots.paths.contains { path in
            !sequence(first: path, next: \.parent).contains { failed[$0] != nil }
        }
        if isSomething { return }
        if failed.count > 1 { error.message += " So it is with \(failed.count) paths, all that were given." }
        throw error
    }

    private func tell(_ path: EntryPath, _ error: HawserError, _ visit: Visit) async throws {
        if source.roots.contains(path) || source.roots.names(leadingOnFrom: path) != nil { failed[path] = error }
        try await visit(.problem(path, error))
    }

    // MARK: Going down

    private func enterRoot(_ visit: Visit) async throws {
        let status = try atRoot(.root) { () throws(CallFailure) in
            try withNullTerminated("/".utf8) { name throws(CallFailure) in try FileCalls.status(name, in: -1) }
        }
        try await visit(
            .entry(status.entry(at: .root, kind: .directory, accounts: source.accounts, links: source.links))
        )
        source.links.enter(device: status.device)
        let isWhole = source.roots.contains(.root)
        let handle = try atRoot(.root) { () throws(CallFailure) in try FileTreeSource.openRoot(pathOnly: !isWhole) }
        if isWhole {
            let scan = try atRoot(.root) { () throws(CallFailure) in try DirectoryScan(handle) }
            try await give(scan, at: .root, device: status.device, visit)
        } else {
            try await giveNarrowed(handle, at: .root, visit)
        }
    }

    private func descend(_ visit: Visit, _ group: inout Group) async throws {
        let top = levels.count - 1
        let index = levels[top].next
        levels[top].next += 1
        guard let parent = levels[top].handle else { return }
        let name = levels[top].subdirectories.name(index)
        let directory = path.appending(name)
        if levels[top].narrowed.contains(index) {
            let handle: DirectoryHandle
            do throws(CallFailure) {
                handle = try DirectoryScan.open(name, in: parent, pathOnly: true, following: true)
            } catch {
                return try await tell(directory, error.error(at: directory), visit)
            }
            try await giveNarrowed(handle, at: directory, visit)
            return
        }
        let device = levels[top].devices[index] ?? levels[top].device
        if device != levels[top].device { source.links.enter(device: device) }
        switch try await scan(name, index: index, in: parent, &group) {
        case .success(let scan): try await give(scan, at: directory, device: device, visit)
        case .failure(let failure):
            try await tell(directory, failure.error(at: directory), visit)
        }
    }

    private func scan(
        _ name: [UInt8],
        index: Int,
        in parent: DirectoryHandle,
        _ group: inout Group
    ) async throws -> Result<DirectoryScan, CallFailure> {
        if pace.isSlow { requestAhead(from: index, &group) }
        let key = ScanAhead.Key(level: levels[levels.count - 1].serial, index: index)
        if let finished = try await ahead.take(key, group: &group) {
            guard case .success(let scan) = finished.scan else { return finished.scan }
            pace.record(entries: scan.statuses.count + 1, waited: finished.waited)
            guard scan.listing == nil else { return finished.scan }
        }
        return Result { () throws(CallFailure) in
            let timer = ScanPace.Timer()
            let handle = try source.retryingWithoutCache { () throws(CallFailure) in
                try DirectoryScan.open(name, in: parent)
            }
            let scan = try DirectoryScan(handle)
            pace.record(entries: 1 + (scan.listing?.count ?? 0) / 8, waited: timer.waited)
            return scan
        }
    }

    /// The directories that come next: those of the last level, then those of the levels above.
    private func requestAhead(from index: Int, _ group: inout Group) {
        for position in levels.indices.reversed() {
            let level = levels[position]
            guard let handle = level.handle else { return }
            let first = position == levels.count - 1 ? index : level.next
            for index in first..<max(first, level.subdirectories.count) where !level.narrowed.contains(index) {
                guard ahead.hasRoom else { return }
                let key = ScanAhead.Key(level: level.serial, index: index)
                ahead.request(key, name: level.subdirectories.name(index), in: handle, group: &group)
            }
        }
    }

    // MARK: Giving entries

    private func give(_ scan: DirectoryScan, at directory: EntryPath, device: UInt64, _ visit: Visit) async throws {
        let listing = scan.listing ?? DirectoryListing()
        source.cache.insert(scan.handle, for: directory)
        var level = Level(serial: levelCount, handle: scan.handle, device: device)
        let kept = source.options.excludes.keptNames(of: listing, in: scan.handle)
        var position = 0
        while position < listing.count {
            try Task.checkCancellation()
            let isParallel = pace.isSlow && scan.statuses.isEmpty && listing.count - position > Self.batch
            let end = min(listing.count, position + Self.batch * (isParallel ? ScanAhead.width : 1))
            let range = position..<end
            let statuses =
                isParallel
                ? await parallelStatuses(of: listing, range, in: scan.handle)
                : self.statuses(of: listing, range, scan)
            for index in range {
                let path = listing.withName(index) { directory.appending($0) }
                if source.options.excludes.patterns.matches(path) { continue }
                if let kept, !kept.contains(Array(path.name)) { continue }
                switch statuses[index - position] {
                case .failure(let failure): try await tell(path, failure.error(at: path), visit)
                case .status(let status): try await give(status, at: path, in: &level, visit)
                }
            }
            position = end
        }
        push(level, at: directory)
    }

    private func statuses(of listing: DirectoryListing, _ range: Range<Int>, _ scan: DirectoryScan) -> [NameStatus] {
        if !scan.statuses.isEmpty { return Array(scan.statuses[range]) }
        let timer = ScanPace.Timer()
        let statuses = DirectoryScan.statuses(of: listing, range, in: scan.handle)
        pace.record(entries: range.count, waited: timer.waited)
        return statuses
    }

    private func parallelStatuses(
        of listing: DirectoryListing,
        _ range: Range<Int>,
        in handle: DirectoryHandle
    ) async -> [NameStatus] {
        let parts = await withTaskGroup(of: (first: Int, statuses: [NameStatus], waited: UInt64).self) { group in
            for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.batch) {
                let part = first..<min(first + Self.batch, range.upperBound)
                group.addTask {
                    let timer = ScanPace.Timer()
                    return (first, DirectoryScan.statuses(of: listing, part, in: handle), timer.waited)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        pace.record(entries: range.count, waited: parts.reduce(0) { $0 + $1.waited })
        return parts.sorted { $0.first < $1.first }.flatMap(\.statuses)
    }

    private func give(_ found: FileStatus, at path: EntryPath, in level: inout Level, _ visit: Visit) async throws {
        var status = found
        var leadsOn = false
        if source.roots.hasNested, source.roots.names(leadingOnFrom: path) != nil {
            leadsOn = true
            // A given path goes through this symbolic link: what lies behind counts.
            if status.kind == .symlink {
                do throws(CallFailure) {
                    status = try withNullTerminated(path.name) { name throws(CallFailure) in
                        try FileCalls.status(name, in: level.handle?.descriptor ?? -1, following: true)
                    }
                } catch {
                    return try await tell(path, error.error(at: path), visit)
                }
            }
        }
        guard let kind = status.kind else {
            let error = HawserError(.unsupported, "It is of a kind that Hawser doesn't know.", place: path.description)
            return try await tell(path, error, visit)
        }
        if kind == .file, let largest = source.options.excludes.largestFile, status.size > largest { return }
        try await visit(.entry(status.entry(at: path, kind: kind, accounts: source.accounts, links: source.links)))
        guard kind == .directory else { return }
        let isWalked = status.device == level.device || !source.options.staysOnFileSystem || source.roots.contains(path)
        let isFollowed = found.kind == .symlink
        if isWalked && !isFollowed {
            try append(path, status, narrowed: false, to: &level)
        } else if leadsOn {
            try append(path, status, narrowed: true, to: &level)
        }
    }

    /// Gives what leads to the given paths only.
    private func giveNarrowed(_ handle: DirectoryHandle, at directory: EntryPath, _ visit: Visit) async throws {
        source.cache.insert(handle, for: directory)
        var level = Level(serial: levelCount, handle: handle, device: .max)
        for name in source.roots.names(leadingOnFrom: directory) ?? [] {
            let path = directory.appending(name)
            let isGiven = source.roots.contains(path)
            if isGiven, source.options.excludes.patterns.matches(path) { continue }
            let status: FileStatus
            do throws(CallFailure) {
                status = try withNullTerminated(name) { name throws(CallFailure) in
                    try FileCalls.status(name, in: handle.descriptor, following: !isGiven)
                }
            } catch {
                try await tell(path, error.error(at: path), visit)
                continue
            }
            guard let kind = status.kind, isGiven || kind == .directory else {
                let error = HawserError(
                    .fileSystem,
                    "A path to back up is of an unknown kind.",
                    place: path.description
                )
                try await tell(path, error, visit)
                continue
            }
            try await visit(.entry(status.entry(at: path, kind: kind, accounts: source.accounts, links: source.links)))
            if kind == .directory { try append(path, status, narrowed: !isGiven, to: &level) }
        }
        push(level, at: directory)
    }

    private func append(
        _ path: EntryPath,
        _ status: FileStatus,
        narrowed: Bool,
        to level: inout Level
    ) throws {
        let index = level.subdirectories.count
        try atRoot(path) { () throws(CallFailure) in
            try level.subdirectories.append(path.name)
        }
        if narrowed { level.narrowed.insert(index) }
        if status.device != level.device { level.devices[index] = status.device }
    }

    // MARK: Levels

    private func push(_ level: Level, at directory: EntryPath) {
        levels.append(level)
        levelCount += 1
        path = directory
        let shed = levels.count - 1 - Self.openLevels
        if shed >= 0, let handle = levels[shed].handle {
            levels[shed].identity = (try? FileCalls.status(of: handle.descriptor))?.identity
            levels[shed].handle = nil
        }
    }

    private func leave(_ visit: Visit) async throws {
        let child = levels.removeLast()
        guard !levels.isEmpty else { return }
        path = path.parent ?? .root
        let top = levels.count - 1
        guard levels[top].handle == nil else { return }
        levels[top].handle = reopened(levels[top], from: child.handle)
        let rest = levels[top].subdirectories.count - levels[top].next
        guard levels[top].handle == nil, rest > 0 else { return }
        levels[top].next = levels[top].subdirectories.count
        ahead.forget(level: levels[top].serial)
        let message = "It was moved while the backup ran: \(rest) of its directories are missing."
        try await visit(.problem(path, HawserError(.notFound, message, place: path.description)))
    }

    /// The same directory as before: through its subdirectory, or by its path.
    private func reopened(_ level: Level, from child: DirectoryHandle?) -> DirectoryHandle? {
        guard let identity = level.identity else { return nil }
        let candidates = [
            { child.flatMap { try? DirectoryScan.open(Array("..".utf8), in: $0, pathOnly: true) } },
            { [source, path] in try? source.directory(at: path) },
        ]
        for candidate in candidates {
            if let handle = candidate(), (try? FileCalls.status(of: handle.descriptor))?.identity == identity {
                return handle
            }
        }
        return nil
    }

    /// For what the walk can't do without.
    private func atRoot<Value>(_ path: EntryPath, _ call: () throws(CallFailure) -> Value) throws -> Value {
        do throws(CallFailure) { return try call() } catch { throw error.error(at: path) }
    }
}
