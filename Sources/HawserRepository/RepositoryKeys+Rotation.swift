public import HawserFormat
import HawserStorage
import HawserTransfer

/// What a rotation of the keys did.
public struct KeyRotation: Sendable {
    /// What later objects are sealed under.
    public var epoch: UInt8
    /// The new slots, one for each password.
    public var added: [ObjectName]
    /// The old slots, which are gone: those whose passwords have new ones, and all others.
    public var replaced: [RepositoryKeys.Key]
    public var dropped: [RepositoryKeys.Key]
}

extension RepositoryKeys {
    /// Adds a key epoch, so that whoever knew the keys up to now can't read what is stored from now on.
    ///
    /// The slots of the password in use and of `others` are made anew; all other slots are deleted, since they can't be
    /// made anew without their passwords. What is stored already stays readable with the new slots.
    ///
    /// The new slots are durable before an old one goes: a run that is killed leaves a repository that every password of
    /// before opens; run it again then. The epoch's number is taken in the configuration before that, so two rotations at
    /// once never give one epoch two secrets; of two that see one another's slots, neither removes any.
    /// - Throws: `wrongPassword` when one of `others` opens no slot, `accessDenied` when a newer epoch than those of all
    ///   these passwords is in use; nothing has changed then. `conflict` when somebody else changes the keys meanwhile: no
    ///   key is removed then, and the next rotation joins the secrets of all.
    public func rotate(
        keeping others: [Secret] = [],
        cost: ScryptParameters = .standard
    ) async throws -> KeyRotation {
        var passwords: [Secret] = []
        for candidate in [password] + others where !passwords.contains(candidate) { passwords.append(candidate) }
        let slots = try await slots(passwords)
        for number in passwords.indices where !slots.contains(where: { $0.opening?.password == number }) {
            throw HawserError(
                .wrongPassword,
                number == 0
                    ? "The key in use has been removed meanwhile. Nothing was changed."
                    : "One of the passwords opens no key of this repository. Nothing was changed."
            )
        }
        // After a rotation that was killed, or two at once, slots have different epochs.
        var ring = ring
        for slot in slots { if let opened = slot.opening?.ring { try ring.merge(opened) } }
        try await requireNewest(ring)
        try await takeEpoch(&ring)

        var added: [ObjectName] = []
        for (number, password) in passwords.enumerated() {
            let newest = slots.filter { $0.opening?.password == number }.compactMap(\.key.metadata)
                .max { $0.created < $1.created }
            guard let metadata = newest else { continue }
            added.append(try await store(ring, password: password, metadata: metadata, cost: cost))
        }
        try await requireOnly(Set(slots.map(\.key.id) + added))
        try await target.delete(slots.map { .named(.keySlot, $0.key.id) })
        return KeyRotation(
            epoch: ring.currentEpoch,
            added: added,
            replaced: slots.filter { $0.opening != nil }.map(\.key),
            dropped: slots.filter { $0.opening == nil }.map(\.key)
        )
    }

    /// Gives the ring an epoch that nobody else has: its number is entered into the next generation of the configuration,
    /// which only one can write.
    private func takeEpoch(_ ring: inout KeyRing) async throws {
        let (_, object) = try await Repository.newestConfiguration(of: target, .load(from: target))
        var config = try RepositoryConfig(decoding: object, ring: ring)
        try ring.addEpoch(above: config.takenEpoch)
        config = try config.successor(of: object)
        config.takenEpoch = ring.currentEpoch
        if try await config.store(at: target, ring) { return }
        throw HawserError(
            .conflict,
            "Somebody else rotates the keys or changes the configuration at the same time. Nothing was changed: run it again."
        )
    }

    /// Whoever stores slots looks afterwards whether there are others: of two at once at least one sees them.
    private func requireOnly(_ known: Set<ObjectName>) async throws {
        for try await info in target.list(.keySlot) where info.key.name.map({ !known.contains($0) }) ?? false {
            throw HawserError(
                .conflict,
                "Somebody else changed the keys at the same time, so none was removed. Run «hawser key rotate» again with all passwords that are to stay.",
                place: info.key.path
            )
        }
    }

    /// What is sealed under an epoch that the new slots lack would be lost: so no snapshot may be of one that this ring
    /// does not have.
    private func requireNewest(_ ring: KeyRing) async throws {
        let sealer = ring.objectSealer
        var keys: [ObjectKey] = []
        for try await info in target.list(.snapshot) { keys.append(info.key) }
        try await withBoundedTasks(over: keys, width: Parallelism.requests) { key in
            do {
                _ = try Snapshot(decoding: await target.fetch(key, range: nil), sealer: sealer)
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                // Not sealed under any epoch that could be lost.
            }
        } take: {
        }
    }
}
