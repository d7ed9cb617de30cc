import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Logging

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension ControlService {
    /// Presigned requests: uploads against a reservation of exactly their length, and downloads.
    func tickets(
        _ id: ControlID,
        _ session: SessionRecord,
        _ request: TicketRequest
    ) async throws -> TicketAnswer {
        guard request.puts.count + request.gets.count <= ControlAPI.mostTickets else {
            throw HawserError(
                .invalidArgument,
                "A request is for at most \(ControlAPI.mostTickets) tickets. Send them in several requests."
            )
        }
        for key in request.gets where ObjectKey(key) == nil { throw Self.noObject(key) }
        let hashes = try request.puts.map { put in
            guard let sha256 = ObjectName(put.sha256) else {
                throw HawserError(.invalidArgument, "A SHA-256 has 32 bytes.", place: put.key)
            }
            try ObjectKey(put.key)?.check(sha256)
            return sha256
        }
        let (storage, folder) = try await ticketPlace(id, session)
        let outcomes = try await reserve(request.puts, id, session, folder)
        var configuration = try S3Configuration(storage.settings, folder: folder.path(in: storage.settings))
        if let endpoint = storage.settings.tenantEndpoint {
            configuration.endpoint = try S3Endpoint(parsing: endpoint)
        }
        database.count(MoverUsage(requests: request.puts.count + request.gets.count), in: folder.id)
        let presigner = S3Presigner(configuration)
        let lifetime = database.ledgerSettings.ticketLifetime
        let puts = try await sign(zip(request.puts, hashes), outcomes, presigner, storage, folder)
        var gets: [Ticket] = []
        if !request.gets.isEmpty {
            let reader = try await reader(storage, folder)
            gets = request.gets.map { Ticket($0, presigner.get($0, seconds: lifetime, with: reader), lifetime) }
        }
        let quota = try await database.quota(tenant: session.tenant, subtenant: session.subtenant, repository: id)
        return TicketAnswer(puts: puts, gets: gets, quota: quota)
    }

    private func reserve(
        _ puts: [TicketRequest.Put],
        _ id: ControlID,
        _ session: SessionRecord,
        _ folder: FolderRecord
    ) async throws -> [TicketOutcome] {
        guard !puts.isEmpty else { return [] }
        guard !session.purpose.isReadOnly else {
            throw HawserError(.accessDenied, "A session for \(session.purpose) stores nothing.")
        }
        guard try await !database.account(folder).isOver || session.purpose == .prune else {
            throw HawserError(
                .quotaExceeded,
                "The storage holds more than the quota allows. Forget snapshots and prune, or ask the provider for more."
            )
        }
        return try await database.reserve(
            LedgerTarget(session, repository: id),
            puts.map { ObjectRecord(key: $0.key, length: $0.length) }
        )
    }

    private func sign(
        _ puts: Zip2Sequence<[TicketRequest.Put], [ObjectName]>,
        _ outcomes: [TicketOutcome],
        _ presigner: S3Presigner,
        _ storage: StorageRecord,
        _ folder: FolderRecord
    ) async throws -> [Ticket] {
        guard !outcomes.isEmpty else { return [] }
        let signer = try await issuer.signer(storage, folder: folder)
        return zip(puts, outcomes).map { upload, outcome in
            let (put, sha256) = upload
            switch outcome {
            case .stored: return Ticket(key: put.key, outcome: .stored)
            case .refused: return Ticket(key: put.key, outcome: .refused)
            case .granted(let expiresIn):
                // Never beyond what the ledger keeps set aside.
                let seconds = max(1, min(database.ledgerSettings.ticketLifetime, Int(expiresIn / .seconds(1))))
                let ticket = presigner.put(
                    put.key,
                    length: put.length,
                    sha256: sha256,
                    seconds: seconds,
                    with: signer
                )
                return Ticket(put.key, ticket, seconds)
            }
        }
    }

    private func reader(_ storage: StorageRecord, _ folder: FolderRecord) async throws -> S3Credentials {
        guard storage.settings.sts != nil else { return try await issuer.key(of: storage) }
        return try await issuer.temporary(storage, folder: database.account(folder), purpose: .restore).credentials
    }

    /// Lists the session's own folder, for those whose access is by tickets.
    func list(_ id: ControlID, _ session: SessionRecord, target: String) async throws -> ListingAnswer {
        let query = ListingQuery(target)
        let prefix = query["prefix"] ?? ""
        let after = query["after"].map { ObjectKey($0) }
        guard let limit = query["limit"].map({ Int($0) }) ?? 1000, (1...1000).contains(limit),
            ListingQuery.isPrefix(prefix), after != .some(nil)
        else {
            throw HawserError(
                .invalidArgument,
                "A listing has a prefix of keys of the repository format, a key to begin after, and a limit of 1 to 1,000."
            )
        }
        let (storage, folder) = try await ticketPlace(id, session)
        database.count(MoverUsage(requests: 1), in: folder.id)
        let store = try await database.store(storage, folder: folder.path(in: storage.settings), logger: logger)
        let objects: [ObjectInfo]
        do {
            objects = try await store.list(prefix: prefix, after: after ?? nil, limit: limit)
        } catch {
            await store.shutdown()
            throw StorageWork.trouble(error)
        }
        await store.shutdown()
        return ListingAnswer(
            objects: objects.map {
                .init(key: $0.key.path, length: $0.length, stored: $0.stored.map { Double($0.seconds) })
            }
        )
    }

    /// Where tickets of the session lead.
    private func ticketPlace(
        _ id: ControlID,
        _ session: SessionRecord
    ) async throws -> (StorageRecord, FolderRecord) {
        let folder = try await database.folder(
            tenant: session.tenant,
            subtenant: session.subtenant,
            repository: id
        )
        let repository = try await database.repository(id)
        let storage = try await database.storage(repository.storage)
        let isMeant = repository.settings.access == .tickets || storage.settings.kind == .google
        guard repository.settings.mode == .direct, isMeant, storage.settings.issuers.contains(.tickets) else {
            throw HawserError(.accessDenied, "This repository is not reached by presigned requests. Ask for a grant.")
        }
        return (storage, folder)
    }

    private static func noObject(_ key: String) -> HawserError {
        HawserError(.invalidArgument, "This is no object of the repository format.", place: key)
    }
}

/// The query of a request for a list.
struct ListingQuery {
    private let items: [URLQueryItem]

    init(_ target: String) {
        items = URLComponents(string: target)?.queryItems ?? []
    }

    subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// Whether keys of the format's grammar can begin with it.
    static func isPrefix(_ text: String) -> Bool { text.utf8.count <= 200 && text.utf8.allSatisfy(isOfGrammar) }

    private static func isOfGrammar(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}

extension Ticket {
    fileprivate init(_ key: String, _ ticket: S3Ticket, _ seconds: Int) {
        self.init(
            key: key,
            outcome: .granted,
            url: ticket.url,
            headers: Dictionary(ticket.headers.map { ($0.name, $0.value) }) { first, _ in first },
            expiresIn: seconds
        )
    }
}
