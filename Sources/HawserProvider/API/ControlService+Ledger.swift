import HawserControl
import HawserFormat
import Logging

extension ControlService {
    func lease(_ repository: ControlID, _ session: SessionRecord, _ request: LeaseRequest) async throws -> LeaseAnswer {
        try Self.checkCount(request.settled.count)
        let (grant, quota) = try await database.lease(
            LedgerTarget(session, repository: repository),
            lease: request.lease,
            bytes: request.bytes,
            rate: request.rate,
            settled: request.settled
        )
        return LeaseAnswer(
            lease: grant?.lease,
            bytes: grant?.bytes ?? 0,
            expiresIn: grant.map { Int($0.expiresIn / .seconds(1)) } ?? 0,
            quota: quota
        )
    }

    func commit(_ repository: ControlID, _ session: SessionRecord, _ request: CommitRequest) async throws
        -> CommitAnswer
    {
        try Self.checkCount(request.objects.count)
        let key = try Self.key(request.snapshot, of: [.snapshot, .checkpoint])
        let replaced = try Self.key(request.replaces, of: [.snapshot])
        if replaced != nil, key?.kind != .snapshot {
            throw HawserError(.invalidArgument, "Only a snapshot takes the place of one.")
        }
        if key?.kind == .snapshot {
            let folder = try await database.folder(
                tenant: session.tenant,
                subtenant: session.subtenant,
                repository: repository
            )
            try limitSnapshots(of: folder.id)
            if let replaced { try await storageWork.noteArrival(of: replaced, in: folder.id) }
        }
        let (quota, time) = try await database.commit(
            LedgerTarget(session, repository: repository),
            request.objects,
            before: key,
            replacing: replaced
        )
        return CommitAnswer(quota: quota, receivedAt: time.seconds)
    }

    func delete(
        _ repository: ControlID,
        _ session: SessionRecord,
        _ request: DeletionRequest
    ) async throws -> DeletionAnswer {
        try Self.checkCount(request.keys.count)
        try limitDeletions(of: session.tenant)
        let deletion = try await database.requestDeletion(
            LedgerTarget(session, repository: repository),
            keys: request.keys
        )
        logger.info(
            "Deletion requested",
            metadata: ["session": "\(session.id)", "repository": "\(repository)", "keys": "\(request.keys.count)"]
        )
        let deleted = await storageWork.deleteNow(deletion)
        return DeletionAnswer(deleted: deleted, waiting: request.keys.count - deleted)
    }

    /// Ten requests for deletions, of up to 1,000 objects each, a page.
    func deletions(_ id: ControlID, _ session: SessionRecord, target: String) async throws -> PendingDeletionsAnswer {
        let query = ListingQuery(target)
        let prefix = query["prefix"] ?? ""
        let after = query["after"].map { ControlID($0) }
        guard ListingQuery.isPrefix(prefix), after != .some(nil) else {
            throw HawserError(.invalidArgument, "Deletions are listed by a prefix of keys, and behind an id.")
        }
        let folder = try await database.folder(tenant: session.tenant, subtenant: session.subtenant, repository: id)
        let page = try await database.pendingDeletions(folder.id, after: after ?? nil, limit: 10)
        return PendingDeletionsAnswer(
            keys: page.flatMap(\.keys).filter { $0.hasPrefix(prefix) },
            next: page.count < 10 ? nil : page.last?.id
        )
    }

    func receipts(_ id: ControlID, _ session: SessionRecord, target: String) async throws -> ReceiptsAnswer {
        let after = ListingQuery(target)["after"].map { ObjectName(hex: $0) }
        guard after != .some(nil) else {
            throw HawserError(.invalidArgument, "Receipts are listed behind the id of a snapshot.")
        }
        let folder = try await database.folder(tenant: session.tenant, subtenant: session.subtenant, repository: id)
        let page = try await database.receipts(folder.id, after: after ?? nil, limit: ControlAPI.mostKeys)
        return ReceiptsAnswer(
            receipts: page,
            next: page.count < ControlAPI.mostKeys ? nil : page.last?.snapshot
        )
    }

    private static func key(_ text: String?, of kinds: Set<ObjectKind>) throws -> ObjectKey? {
        guard let text else { return nil }
        guard let key = ObjectKey(text), kinds.contains(key.kind) else {
            throw HawserError(.invalidArgument, "This is no key of a snapshot or checkpoint.")
        }
        return key
    }

    private static func checkCount(_ count: Int) throws {
        guard count <= ControlAPI.mostKeys else {
            throw HawserError(
                .invalidArgument,
                "A request names at most \(ControlAPI.mostKeys) keys or leases. Send them in several requests."
            )
        }
    }
}
