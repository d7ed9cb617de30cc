public import HawserFormat
import HawserStorage
import HawserTransfer

/// What making snapshots without what is lost came to.
public struct SnapshotRepairSummary: Sendable {
    /// What of a snapshot is lost.
    public struct Loss: Sendable {
        /// The snapshot that has all the rest, made by this run or an earlier one; `nil` after a dry run, and where nothing is left.
        public var replacement: ObjectName?
        /// Files of which something is left, with zeros in the place of what is lost, and how many bytes that is.
        public var damaged: [(path: EntryPath, lostBytes: UInt64)] = []
        /// Entries of which nothing is left.
        public var missing: [EntryPath] = []
        /// Stretches of the tree whose entries nobody knows, each by the path that it began with.
        public var unreadable: [String] = []
        /// Only its refs were not right: they are now.
        public var isRefsOnly: Bool { damaged.isEmpty && missing.isEmpty && unreadable.isEmpty }
    }

    public var snapshots = 0
    public var losses: [ObjectName: Loss] = [:]
    public var refsRepaired: [ObjectName] = []
}

extension Repository {
    /// Makes of each snapshot that is not whole another one without what is lost, and writes the refs anew of those whose
    /// refs don't name all that they need. The old snapshots stay until they are forgotten.
    ///
    /// Lost is what no pack has that is there. Whether the packs are what they must be, `check --read-data` and
    /// `repairPacks` find out before.
    /// - Parameter report: called for each snapshot that is not whole.
    public func repairSnapshots(
        _ snapshots: [StoredSnapshot],
        dryRun: Bool = false,
        memory: Int = 128 << 20,
        report: (StoredSnapshot, SnapshotRepairSummary.Loss) -> Void = { _, _ in }
    ) async throws -> SnapshotRepairSummary {
        try requireWritable()
        let fresh = with(try await ChunkIndex.load(from: target, objects: objects, cache: cache))
        let table = try await PackTable.list(target)
        let known = fresh.index.packs
        fresh.index.drop(Set(known.indices.filter { table.place(of: known[$0]) == nil }.map { UInt32($0) }))
        fresh.index.condemn(try await condemnedPacks())
        var summary = SnapshotRepairSummary()
        for stored in snapshots {
            try Task.checkCancellation()
            summary.snapshots += 1
            let repair = try SnapshotRepair(fresh, memory: memory, storesNothing: dryRun)
            let (root, loss) = try await repair.run(stored.snapshot)
            if loss.isRefsOnly {
                try await repair.writer.close()
                if try await fresh.refsName(repair.writer.packs, of: stored.id) { continue }
                if !dryRun { try await fresh.renewRefs(stored.id, repair.writer.packs) }
                summary.refsRepaired.append(stored.id)
                continue
            }
            var found = loss
            if !dryRun, let root {
                let snapshot = stored.snapshot.repaired(root, id: stored.id, errors: loss)
                let all = try await self.snapshots(unreadable: { _, _ in })
                if let earlier = all.first(where: { $0.snapshot.isRepair(as: snapshot) }) {
                    found.replacement = earlier.id
                } else {
                    found.replacement = try await repair.writer.commit(snapshot, replacing: stored.id)
                }
            }
            try await repair.writer.close()
            summary.losses[stored.id] = found
            report(stored, found)
        }
        return summary
    }

    private func refsName(_ packs: [PackReference], of id: ObjectName) async throws -> Bool {
        do {
            let named = Set(try await self.packs(of: id).map(\.name))
            return packs.allSatisfy { named.contains($0.name) }
        } catch let error as HawserError where error.code == .damaged {
            return false
        }
    }

    /// Writes refs that name these packs too, and removes those that can't be read.
    private func renewRefs(_ id: ObjectName, _ packs: [PackReference]) async throws {
        var names: [ObjectName: PackReference] = [:]
        for pack in packs { names[pack.name] = pack }
        var generation: UInt32 = 1
        var unreadable: [ObjectKey] = []
        for try await info in target.list(prefix: ObjectKind.refs.prefix + id.hex + "/") {
            do {
                let refs = try await resolvedRefs(info.key)
                for pack in refs.packs { names[pack.name] = names[pack.name] ?? pack }
                generation = max(generation, refs.generation + 1)
            } catch let error as HawserError where error.code == .damaged {
                unreadable.append(info.key)
            } catch let error as HawserError where error.code == .notFound {
                // Deleted since it was listed.
            }
        }
        // Before: one of them may have the name that the new object gets.
        try await target.delete(unreadable)
        let refs = try Refs(snapshot: id, generation: generation, packs: Array(names.values)).sealed()
        _ = try await target.store(refs)
        let condemned = try await condemnedPacks()
        guard packs.allSatisfy({ !condemned.contains($0.name) }) else {
            throw HawserError(
                .pruneInTheWay,
                "A prune has marked packs of this snapshot meanwhile. Let it finish, then repair again.",
                place: id.hex,
                isRetryable: true
            )
        }
    }
}

/// Builds a snapshot's tree again from what can be had of it.
private struct SnapshotRepair {
    let repository: Repository
    let writer: RepositoryWriter
    private let reader: BlobReader

    init(_ repository: Repository, memory: Int, storesNothing: Bool) throws {
        self.repository = repository
        writer = try RepositoryWriter(repository, compression: .auto, memory: memory, storesNothing: storesNothing)
        reader = BlobReader(repository)
    }

    /// - Returns: the root, unless nothing is left. The writer has noted all packs that the tree needs.
    func run(_ snapshot: Snapshot) async throws -> (TreeRoot?, SnapshotRepairSummary.Loss) {
        try await withThrowingTaskGroup(of: (TreeRoot?, SnapshotRepairSummary.Loss)?.self) { group in
            group.addTask {
                try await writer.runUploads()
                return nil
            }
            group.addTask {
                let result = try await build(snapshot)
                try await writer.flush()
                await writer.finishUploads()
                return result
            }
            var result: (TreeRoot?, SnapshotRepairSummary.Loss) = (nil, SnapshotRepairSummary.Loss())
            for try await part in group { result = part ?? result }
            return result
        }
    }

    private func build(_ snapshot: Snapshot) async throws -> (TreeRoot?, SnapshotRepairSummary.Loss) {
        var loss = SnapshotRepairSummary.Loss()
        var tree = TreeBuilder(treeKey: repository.config.secrets.tree.bytes, id: repository.ids.id(of:type:))
        var entries = repository.entries(of: snapshot.root).makeAsyncIterator()
        while true {
            let entry: Entry?
            do {
                entry = try await entries.next()
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                loss.unreadable.append(error.place ?? "/")
                continue
            }
            guard var entry else { break }
            guard try await salvage(&entry, &loss) else { continue }
            for blob in try tree.append(entry) { try await writer.store(blob) }
        }
        if tree.entryCount == 0, !loss.isRefsOnly { return (nil, loss) }
        let (blobs, root) = tree.finish()
        for blob in blobs { try await writer.store(blob) }
        return (root, loss)
    }

    /// - Returns: false when nothing is left of the entry.
    private func salvage(_ entry: inout Entry, _ loss: inout SnapshotRepairSummary.Loss) async throws -> Bool {
        var lost: UInt64 = 0
        var isChanged = false
        if let blob = entry.attributeBlob, try await !keep(blob) {
            entry.attributeBlob = nil
            isChanged = true
        }
        var extents: [Extent] = []
        switch entry.content {
        case nil, .inline: break
        case .extents(let all):
            for extent in all { extents.append(try await kept(extent, &lost)) }
        case .list(let id, let height):
            try await keepList(id, height: height, length: entry.size, &extents, &lost)
        }
        if lost > 0 {
            guard lost < entry.size else {
                loss.missing.append(entry.path)
                return false
            }
            var list = ContentListBuilder(id: repository.ids.id(of:type:))
            for extent in extents {
                for blob in try list.append(extent) { try await writer.store(blob) }
            }
            let (blobs, content) = list.finish()
            for blob in blobs { try await writer.store(blob) }
            entry.content = content
            isChanged = true
        }
        if isChanged {
            // So the next backup reads it again.
            entry.changedWhileRead = true
            loss.damaged.append((entry.path, lost))
        }
        return true
    }

    private func kept(_ extent: Extent, _ lost: inout UInt64) async throws -> Extent {
        guard case .data(let id, let length) = extent, try await !keep(id) else { return extent }
        lost += UInt64(length)
        return .hole(length: length)
    }

    private func keepList(
        _ id: ChunkID,
        height: Int,
        length: UInt64,
        _ extents: inout [Extent],
        _ lost: inout UInt64
    ) async throws {
        var list: ContentList?
        if try await keep(id) {
            do {
                list = try ContentList(decoding: await reader.read(id, type: .contentList), level: height)
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                list = nil
            }
        }
        switch list?.items {
        case nil:
            lost += length
            // A hole's length is an Int, and so was that of the file.
            extents.append(.hole(length: Int(clamping: length)))
        case .extents(let all):
            for extent in all { extents.append(try await kept(extent, &lost)) }
        case .children(let children):
            for child in children {
                try await keepList(child.id, height: height - 1, length: child.length, &extents, &lost)
            }
        }
    }

    /// Whether the chunk is there; one that is in a pack about to be deleted is stored again.
    private func keep(_ id: ChunkID) async throws -> Bool {
        if writer.reference(id) { return true }
        guard let record = repository.index.find(id) else { return false }
        let pack = repository.index.pack(record.packNumber)
        guard let sealed = try await repository.readTwice(record.blob, of: pack) else { return false }
        if writer.claim(id) { try await writer.append(record.blob, sealed: sealed) }
        return true
    }
}

extension Snapshot {
    fileprivate func repaired(_ root: TreeRoot, id: ObjectName, errors loss: SnapshotRepairSummary.Loss) -> Snapshot {
        var copy = self
        copy.tree = root.id
        copy.treeHeight = root.height
        copy.original = original ?? id
        copy.isComplete = false
        copy.errorCount &+= UInt64(loss.damaged.count + loss.missing.count + loss.unreadable.count)
        return copy
    }

    /// Whether an earlier run has made this one of the same snapshot.
    fileprivate func isRepair(as other: Snapshot) -> Bool {
        original == other.original && tree == other.tree && treeHeight == other.treeHeight
    }
}
