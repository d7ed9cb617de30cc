import HawserFormat
import HawserStorage
import HawserTransfer

extension Pruner {
    /// Writes the next generation of refs of every snapshot that names a pack which is to go, or should name one that it
    /// does not.
    ///
    /// - Parameter gone: packs that are not there, and where what can be had of them is.
    /// - Throws: `pruneInTheWay` when another prune has marked packs that the new refs name: nothing may be marked then.
    func writeRefs(
        _ plan: PrunePlan,
        _ moved: Moved,
        _ facts: PackFacts,
        _ verdict: RefsCatalog.Verdict,
        gone: [PackReference: Set<PackReference>] = [:],
        _ state: inout State
    ) async throws {
        var leaving = PackBits(count: state.table.count)
        for place in plan.rewritten { leaving[place] = true }
        let adopted = Set(plan.adopted.map { state.table.packs[$0] })
        // Nothing names them, so nobody knows for whom their chunks are needed.
        let homeless = plan.rewritten.filter { !facts.named[$0] }.reduce(into: adopted) { packs, place in
            packs.formUnion(moved.packs[place] ?? [])
        }
        let concerned = concerned(verdict, leaving: leaving, gone: Set(gone.keys), homeless: homeless, state.table)
        var added = homeless
        var written: [ObjectName: ObjectKey] = [:]
        var base: (key: Refs.Base, packs: [PackReference])?
        for (id, objects) in verdict.living.sorted(by: { $0.key < $1.key }) {
            guard concerned.contains(id), let first = objects.first else { continue }
            var named = PackBits(count: state.table.count)
            var packs: Set<PackReference> = homeless
            for object in objects {
                named.formUnion(object.packs)
                packs.formUnion(object.others)
            }
            for place in named.places {
                if leaving[place] {
                    packs.formUnion(moved.packs[place] ?? [])
                    added.formUnion(moved.packs[place] ?? [])
                } else {
                    packs.insert(state.table.packs[place])
                }
            }
            for pack in packs {
                guard let others = gone[pack] else { continue }
                packs.remove(pack)
                packs.formUnion(others)
                added.formUnion(others)
            }
            let refs = try await writeRefs(id, first.generation + 1, packs, base, &state)
            written[id] = refs.key
            if case .full(let list) = refs.refs.packs { base = (Refs.Base(snapshot: id, name: refs.name), list) }
        }
        if written.isEmpty { return }
        // As a session does: what these refs name and another prune has marked may be deleted by now.
        let names = Set(added.map(\.name))
        let others = try await repository.condemnedPacks().intersection(names)
        if others.isEmpty { return }
        // Taking them back is no way: the ones before may be deleted already. Further ones name what either name; of the
        // same generation, so that they don't stand for what another prune has written meanwhile.
        for (id, key) in written {
            guard let new = state.refs.objects[key] else { continue }
            let packs = Self.packs(of: (verdict.living[id] ?? []) + [new], state.table)
            _ = try await writeRefs(id, new.generation, packs, nil, &state)
        }
        throw Self.pruneInTheWay
    }

    /// Snapshots whose refs are to be written anew. So are differences to refs that will not count any more: these would
    /// have to be kept for them, and would protect all that they name.
    private func concerned(
        _ verdict: RefsCatalog.Verdict,
        leaving: PackBits,
        gone: Set<PackReference>,
        homeless: Set<PackReference>,
        _ table: PackTable
    ) -> Set<ObjectName> {
        let counting = Set(verdict.living.values.joined().map(\.key))
        var concerned: Set<ObjectName> = []
        for (id, objects) in verdict.living {
            let isAffected = objects.contains { object in
                !object.packs.isDisjoint(with: leaving) || !object.others.isDisjoint(with: gone)
                    || object.base.map { !counting.contains($0) } ?? false
            }
            let lacks = homeless.contains { pack in
                !objects.contains { object in
                    table.place(of: pack).map { object.packs[$0] } ?? object.others.contains(pack)
                }
            }
            if isAffected || lacks || objects.count > 1 { concerned.insert(id) }
        }
        for (id, objects) in verdict.living {
            if objects.contains(where: { $0.base?.snapshot.map(concerned.contains) ?? false }) { concerned.insert(id) }
        }
        return concerned
    }

    private func writeRefs(
        _ id: ObjectName,
        _ generation: UInt32,
        _ packs: Set<PackReference>,
        _ base: (key: Refs.Base, packs: [PackReference])?,
        _ state: inout State
    ) async throws -> (key: ObjectKey, name: ObjectName, refs: Refs) {
        let list = packs.sorted { $0.name < $1.name }
        var refs = Refs(snapshot: id, generation: generation, packs: list)
        if let base, list.count > repository.smallRefs {
            refs = Refs(snapshot: id, generation: generation, packs: list, base: base.key, basePacks: base.packs)
        }
        let object = try refs.sealed()
        _ = try await repository.target.store(object)
        state.summary.refsWritten += 1
        var known = RefsCatalog.Object(
            key: object.key,
            snapshot: id,
            generation: generation,
            base: refs.base?.key,
            stored: now(),
            packs: PackBits(count: state.table.count),
            others: []
        )
        for pack in list {
            if let place = state.table.place(of: pack) { known.packs[place] = true } else { known.others.insert(pack) }
        }
        state.refs.add(known)
        return (object.key, object.sha256, refs)
    }

    /// Deletes refs that are of no use, and writes new ones if that turns out to have been wrong: of a session that was
    /// asleep for days between its refs and its snapshot, or that writes a difference to refs which are deleted at the
    /// same time. The session looks as well (`Repository.commit`): each side writes before it reads.
    ///
    /// Lists may skip a snapshot, again and again: of those that seem to be gone each is asked for.
    func removeUselessRefs(_ state: inout State) async throws {
        if judge(state).useless.isEmpty { return }
        // What has come since: a kill after the deletion would leave it without refs.
        for kind in [ObjectKind.snapshot, .checkpoint] {
            for try await info in repository.target.list(kind) {
                if let id = info.key.name, !state.deadCheckpoints.contains(id) { state.living.insert(id) }
            }
        }
        try await addUnlisted(judge(state).useless, &state)
        let useless = judge(state).useless
        let removed = useless.compactMap { state.refs.objects[$0] }
        try await delete(useless)
        state.summary.refsDeleted += useless.count
        state.refs.remove(useless)
        var before = RefsCatalog()
        for object in removed where object.base == nil { before.add(object) }

        // Differences to what is gone.
        let infos = try await listed(.refs).filter { !state.refs.isKnown($0.key) }
        for info in infos {
            guard let bytes = try? await repository.target.fetchVerified(info.key),
                let refs = try? Refs(decoding: bytes), let base = refs.base, let full = before.objects[base.key]
            else { continue }
            let packs = try refs.resolve(
                base: Refs(snapshot: base.snapshot, generation: 1, packs: Array(Self.packs(of: [full], state.table)))
            )
            _ = try await writeRefs(refs.snapshot, refs.generation + 1, Set(packs), nil, &state)
        }
        // Snapshots that came after all.
        let orphans = Dictionary(grouping: removed, by: \.snapshot).filter { !state.living.contains($0.key) }
        if orphans.isEmpty { return }
        for kind in [ObjectKind.snapshot, .checkpoint] {
            for try await info in repository.target.list(kind) {
                guard let id = info.key.name, let objects = orphans[id] else { continue }
                let next = (objects.map(\.generation).max() ?? 0) + 1
                _ = try await writeRefs(id, next, Self.packs(of: objects, state.table), nil, &state)
            }
        }
    }

    /// - Parameter refs: that would go.
    private func addUnlisted(_ refs: [ObjectKey], _ state: inout State) async throws {
        let orphans = Set(refs.compactMap(\.snapshot)).subtracting(state.living).subtracting(state.deadCheckpoints)
        for kind in [ObjectKind.snapshot, .checkpoint] {
            let absent = try await repository.target.absent(of: orphans.map { .named(kind, $0) })
            state.living.formUnion(orphans.filter { !absent.contains(.named(kind, $0)) })
        }
    }

    private static func packs(of objects: [RefsCatalog.Object], _ table: PackTable) -> Set<PackReference> {
        objects.reduce(into: []) { packs, object in
            packs.formUnion(object.others)
            packs.formUnion(object.packs.places.map { table.packs[$0] })
        }
    }

    /// As many keys as one request of S3 takes: a kill between two leaves all later ones.
    func delete(_ keys: [ObjectKey], _ done: (Int) -> Void = { _ in }) async throws {
        for start in stride(from: 0, to: keys.count, by: ObjectListing.pageSize) {
            try Task.checkCancellation()
            let part = Array(keys[start..<min(start + ObjectListing.pageSize, keys.count)])
            try await repository.target.delete(part)
            done(start + part.count)
        }
    }
}

extension Refs {
    /// The object as it is stored.
    func sealed() throws -> SealedObject {
        let bytes = try encode()
        let name = ObjectName(hashOf: bytes)
        return SealedObject(key: .refs(snapshot: snapshot, name), bytes: bytes, sha256: name)
    }
}
