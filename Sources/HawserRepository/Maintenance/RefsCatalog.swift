import HawserFormat
import HawserStorage
import HawserTransfer

/// All refs objects at one time, and which of them count. Only `read` does I/O.
struct RefsCatalog: Sendable {
    struct Object: Sendable {
        var key: ObjectKey
        var snapshot: ObjectName
        var generation: UInt32
        var base: ObjectKey?
        var stored: Timestamp?
        /// Packs that are in the table.
        var packs: PackBits
        /// All others: stored after the table was made, or gone.
        var others: Set<PackReference>
    }

    private(set) var objects: [ObjectKey: Object] = [:]
    struct Unreadable: Sendable {
        var stored: Timestamp?
        /// `nil` when not even that can be read.
        var generation: UInt32?
    }

    /// Objects that can't be read, or whose base can't.
    private(set) var unreadable: [ObjectKey: Unreadable] = [:]

    mutating func add(_ object: Object) { objects[object.key] = object }

    mutating func remove(_ keys: some Sequence<ObjectKey>) {
        for key in keys {
            objects[key] = nil
            unreadable[key] = nil
        }
    }

    func isKnown(_ key: ObjectKey) -> Bool { objects[key] != nil || unreadable[key] != nil }

    // MARK: Reading

    /// Reads objects that are not known yet, full ones first, because differences build on them.
    mutating func read(_ infos: [ObjectInfo], _ target: any DataMoverTarget, _ table: PackTable) async throws {
        var found = try await fetch(infos.filter { objects[$0.key] == nil }, target)
        // Bases that came after the listing, or lie outside of it.
        let listed = Set(found.map(\.info.key))
        let bases = Set(found.compactMap { $0.refs.base?.key }).filter { objects[$0] == nil && !listed.contains($0) }
        var baseInfos: [ObjectInfo] = []
        for key in bases.sorted() {
            if let info = try await target.head(key) { baseInfos.append(info) }
        }
        found += try await fetch(baseInfos, target)
        for (info, refs) in found.filter({ $0.refs.base == nil }) + found.filter({ $0.refs.base != nil }) {
            do {
                try add(info, refs, table)
                unreadable[info.key] = nil
            } catch is HawserError {
                unreadable[info.key] = Unreadable(stored: info.stored, generation: refs.generation)
            }
        }
    }

    /// Forgets unreadable objects that are not there any more.
    mutating func keepUnreadable(_ infos: [ObjectInfo]) {
        let keys = Set(infos.map(\.key))
        unreadable = unreadable.filter { keys.contains($0.key) }
    }

    private mutating func fetch(
        _ infos: [ObjectInfo],
        _ target: any DataMoverTarget
    ) async throws -> [(info: ObjectInfo, refs: Refs)] {
        var found: [(info: ObjectInfo, refs: Refs)] = []
        var failed: [ObjectInfo] = []
        try await withBoundedTasks(over: infos, width: Parallelism.requests) { info in
            (info, try await Outcome(info.key) { try Refs(decoding: await target.fetchVerified($0)) })
        } take: { info, outcome in
            switch outcome.result {
            case .success(let refs) where refs.snapshot != info.key.snapshot:
                failed.append(info)
            case .success(let refs):
                found.append((info, refs))
            case .failure(let error):
                if error.isRetryable || error.code == .accessDenied { throw error }
                // Deleted since it was listed.
                if error.code != .notFound { failed.append(info) }
            }
        }
        for info in failed { unreadable[info.key] = Unreadable(stored: info.stored, generation: nil) }
        return found
    }

    private mutating func add(_ info: ObjectInfo, _ refs: Refs, _ table: PackTable) throws {
        var object = Object(
            key: info.key,
            snapshot: refs.snapshot,
            generation: refs.generation,
            base: refs.base?.key,
            stored: info.stored,
            packs: PackBits(count: table.count),
            others: []
        )
        var added: [PackReference] = []
        switch refs.packs {
        case .full(let packs): added = packs
        case .delta(let base, let packs, let removed):
            guard let full = objects[base.key], full.base == nil else {
                throw HawserError(.damaged, "The refs object's base is missing or no full one.", place: info.key.path)
            }
            object.packs = full.packs
            let names = Set(removed)
            object.others = full.others.filter { !names.contains($0.name) }
            for name in removed {
                for isMetadata in [false, true] {
                    if let place = table.place(of: name, isMetadata: isMetadata) { object.packs[place] = false }
                }
            }
            added = packs
        }
        for pack in added {
            if let place = table.place(of: pack) { object.packs[place] = true } else { object.others.insert(pack) }
        }
        objects[info.key] = object
    }

    // MARK: What counts

    /// Of each snapshot or checkpoint, the objects of the highest generation: each of them names all that is needed.
    func newest() -> [ObjectName: [Object]] {
        var newest: [ObjectName: [Object]] = [:]
        for object in objects.values {
            let known = newest[object.snapshot]?.first?.generation ?? 0
            if object.generation > known {
                newest[object.snapshot] = [object]
            } else if object.generation == known {
                newest[object.snapshot]?.append(object)
            }
        }
        return newest
    }

    /// Snapshots and checkpoints with refs that can't be read and that no higher generation stands for.
    func missed() -> Set<ObjectName> {
        let newest = newest()
        return Set(
            unreadable.compactMap { key, object in
                guard let id = key.snapshot, !supersedes(object, newest[id]) else { return nil }
                return id
            }
        )
    }

    private func supersedes(_ object: Unreadable, _ newest: [Object]?) -> Bool {
        guard let generation = object.generation, let newest else { return false }
        return newest[0].generation > generation
    }

    struct Verdict: Sendable {
        /// Of living snapshots and checkpoints.
        var living: [ObjectName: [Object]] = [:]
        /// Of snapshots that are not there yet, or not any more: too young to tell.
        var unclear: [Object] = []
        /// Of no use; differences before what they build on.
        var useless: [ObjectKey] = []
    }

    /// - Parameters:
    ///   - living: snapshots and checkpoints.
    ///   - dead: ids of checkpoints that were and will not be again.
    ///   - isOrphan: whether refs without a snapshot are old enough for it to be gone, by their time.
    ///   - isSettled: whether a generation is old enough for the one before to go, by its time.
    func judge(
        living: Set<ObjectName>,
        dead: Set<ObjectName>,
        isOrphan: (Timestamp?) -> Bool,
        isSettled: (Timestamp?) -> Bool
    ) -> Verdict {
        var verdict = Verdict()
        let newest = newest()
        var kept: [Object] = []
        for object in objects.values {
            if !living.contains(object.snapshot) {
                if dead.contains(object.snapshot) || isOrphan(object.stored) { continue }
                verdict.unclear.append(object)
                kept.append(object)
            } else if let best = newest[object.snapshot], best[0].generation > object.generation {
                if best.contains(where: { isSettled($0.stored) }) { continue }
                kept.append(object)
            } else {
                verdict.living[object.snapshot, default: []].append(object)
                kept.append(object)
            }
        }
        let keys = Set(kept.map(\.key)).union(kept.compactMap(\.base))
        var useless = objects.values.filter { !keys.contains($0.key) }
        useless.sort { ($0.base == nil ? 1 : 0, $0.key) < ($1.base == nil ? 1 : 0, $1.key) }
        verdict.useless = useless.map(\.key)
        for (key, object) in unreadable.sorted(by: { $0.key < $1.key }) {
            guard let id = key.snapshot else { continue }
            if !living.contains(id) {
                if dead.contains(id) || isOrphan(object.stored) { verdict.useless.append(key) }
            } else if let best = newest[id], supersedes(object, best), best.contains(where: { isSettled($0.stored) }) {
                verdict.useless.append(key)
            }
        }
        return verdict
    }
}
