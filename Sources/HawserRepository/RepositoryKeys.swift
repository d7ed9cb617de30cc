public import HawserFormat
import HawserStorage
public import HawserTransfer

/// The key slots of a repository: who can open it.
///
/// Opened without the index, so that keys can be changed whatever has happened to it.
public struct RepositoryKeys: Sendable {
    /// A key slot as far as the passwords that are known open it.
    public struct Key: Sendable {
        public var id: ObjectName
        /// `nil` when the slot is damaged.
        public var kind: KeySlot.Kind?
        /// Opened by the password that is in use.
        public var isCurrent: Bool
        /// `nil` unless one of the passwords opens the slot.
        public var metadata: KeySlot.Metadata?
        /// Key epochs that the slot holds; 0 unless it was opened.
        public var epoch: UInt8
        /// Why the slot can't be used.
        public var problem: HawserError?
    }

    /// The repository's, as it was when the keys were opened.
    public let config: RepositoryConfig
    let target: any DataMoverTarget
    let ring: KeyRing
    /// The slot in use.
    let current: ObjectName
    let password: Secret

    /// - Throws: `noRepository`, `wrongPassword`, `damaged`.
    public static func open(at target: any DataMoverTarget, password: Secret) async throws -> RepositoryKeys {
        let unlocked = try await Repository.unlock(target, password: password)
        return RepositoryKeys(
            config: unlocked.config,
            target: target,
            ring: unlocked.ring,
            current: unlocked.slot,
            password: password
        )
    }

    /// All slots, in the order of their ids. Takes 0.3 s for each slot and password.
    ///
    /// - Parameter others: passwords besides the one in use.
    public func list(trying others: [Secret] = []) async throws -> [Key] {
        try await slots([password] + others).map(\.key)
    }

    /// Adds a slot for another password. The same password twice is no error: each slot can be removed on its own.
    ///
    /// - Returns: the new slot's id.
    public func add(
        password: Secret,
        metadata: KeySlot.Metadata,
        cost: ScryptParameters = .standard
    ) async throws -> ObjectName {
        try await store(ring, password: password, metadata: metadata, cost: cost)
    }

    /// Removes a slot: its password opens the repository no more. Whoever has copied its keys still can: see `rotate`.
    ///
    /// - Parameter prefix: of the slot's hexadecimal id, as many digits as make it the only one.
    /// - Throws: `invalidArgument` for the slot in use, which the last one always is; `notFound`.
    @discardableResult
    public func remove(_ prefix: String) async throws -> ObjectName {
        let id = try await slot(named: prefix)
        guard id != current else {
            throw HawserError(
                .invalidArgument,
                "This key opened the repository just now. Add another one, and remove this one with that one's password."
            )
        }
        try await target.delete([.named(.keySlot, id)])
        return id
    }

    /// Replaces the slot in use by one for another password.
    ///
    /// - Returns: the new slot's id.
    public func changePassword(
        to password: Secret,
        metadata: KeySlot.Metadata,
        cost: ScryptParameters = .standard
    ) async throws -> ObjectName {
        let id = try await add(password: password, metadata: metadata, cost: cost)
        // Killed before this, both passwords open the repository.
        try await target.delete([.named(.keySlot, current)])
        return id
    }

    /// The one slot whose id begins with `prefix`.
    public func slot(named prefix: String) async throws -> ObjectName {
        var matches: [ObjectName] = []
        for try await info in target.list(.keySlot) {
            if let id = info.key.name, id.hex.hasPrefix(prefix) { matches.append(id) }
        }
        guard let id = matches.first, !prefix.isEmpty else {
            throw HawserError(.notFound, "There is no key «\(prefix)». «hawser key list» lists them.")
        }
        guard matches.count == 1 else {
            throw HawserError(.invalidArgument, "Several keys begin with «\(prefix)». Give more digits.")
        }
        return id
    }

    func store(
        _ ring: KeyRing,
        password: Secret,
        metadata: KeySlot.Metadata,
        cost: ScryptParameters
    ) async throws -> ObjectName {
        let slot = try await BlockingExecutor.shared.run {
            try KeySlot.seal(ring, metadata: metadata, password: password, cost: cost)
        }
        _ = try await target.store(SealedObject(key: .named(.keySlot, slot.name), bytes: slot.bytes, sha256: slot.name))
        return slot.name
    }

    /// A slot, and the password among those given that opens it.
    struct OpenedSlot: Sendable {
        var key: Key
        var opening: (ring: KeyRing, password: Int)?
    }

    func slots(_ passwords: [Secret]) async throws -> [OpenedSlot] {
        var slots: [OpenedSlot] = []
        for try await info in target.list(.keySlot) {
            guard let id = info.key.name else { continue }
            var slot = OpenedSlot(key: Key(id: id, isCurrent: id == current, epoch: 0))
            do {
                try await open(&slot, passwords)
            } catch let error as HawserError where error.code == .notFound {
                continue
            } catch var error as HawserError where error.code == .damaged || error.code == .unsupported {
                error.place = info.key.path
                slot.key.problem = error
            }
            slots.append(slot)
        }
        return slots
    }

    private func open(_ opened: inout OpenedSlot, _ passwords: [Secret]) async throws {
        let key = ObjectKey.named(.keySlot, opened.key.id)
        let slot = try KeySlot(decoding: await target.fetch(key, range: nil), name: opened.key.id)
        opened.key.kind = slot.kind
        for (number, password) in passwords.enumerated() {
            let opening = try await BlockingExecutor.shared.run { try slot.open(password: password) }
            guard case .opened(let ring, let metadata) = opening else { continue }
            guard ring.repositoryID == self.ring.repositoryID, ring.configKey == self.ring.configKey else {
                throw HawserError(.damaged, "The key slot is another repository's.")
            }
            opened.key.metadata = metadata
            opened.key.epoch = ring.currentEpoch
            opened.opening = (ring, number)
            return
        }
    }
}
