public import HawserFormat
import HawserStorage
public import HawserTransfer

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension ProviderConnection {
    /// Waits until there is a session, the first or one that was cut off.
    ///
    /// - Throws: why there can be none; `CancellationError`.
    @discardableResult
    public func waitUntilConnected() async throws -> ConnectionStatus {
        for await status in broadcast.values() {
            switch status.phase {
            case .connected: return status
            case .ended(let error): throw error
            case .connecting, .away: continue
            }
        }
        throw CancellationError()
    }

    /// Sends a request of the session. While the provider is away it waits, and it is sent again when its answer was
    /// lost: so it must be one that can be repeated.
    ///
    /// - Parameter session: when given, only on this one.
    /// - Throws: what the server answers; `session_over` when the session has ended: a new one is opened, and the caller
    ///   decides what that means.
    func call<Answer: Decodable & Sendable>(
        _ request: ControlRequest,
        on session: ControlID? = nil,
        as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        var broken = 0
        var failures = 0
        while true {
            let link = try await currentLink(after: broken)
            if let session, session != link.session.id { throw Self.sessionOver }
            var request = request
            request.token = link.session.token
            do {
                return try await link.transport.call(request, as: type)
            } catch let error as HawserError {
                switch error.code {
                case .sessionOver, .notSignedIn:
                    link.breaker.yield(Self.sessionOver)
                    throw Self.sessionOver
                case _ where !error.isRetryable || failures >= Self.mostFailures:
                    throw error
                case _ where error.retryAfter ?? .zero > settings.longestRequestedPause:
                    // Nobody is kept waiting for so long, as while a provider recovers.
                    var last = error
                    last.isRetryable = false
                    throw last
                case _ where error.retryAfter != nil:
                    // The server's word: the connection is well.
                    failures += 1
                    try await stopwatch.sleep(
                        min(max(error.retryAfter ?? .zero, settings.firstPause), settings.longestRequestedPause)
                    )
                case .unavailable:
                    // The connection is taken up again in one place, with its pauses.
                    failures += 1
                    broken = link.number
                    link.breaker.yield(error)
                default:
                    throw error
                }
            }
        }
    }

    // Of one request, each behind a pause or on a connection made anew: it is the request then.
    private static let mostFailures = 5

    static let sessionOver = HawserError(
        .sessionOver,
        "The provider has ended this session, after a silence of more than 15 minutes or by hand. Run it again: what was stored "
            + "is used again."
    )

    private func currentLink(after broken: Int) async throws -> Link {
        for await status in broadcast.values() {
            switch status.phase {
            case .connected:
                // It may have broken since.
                if status.link > broken, let link, link.number == status.link { return link }
            case .ended(let error): throw error
            case .connecting, .away: continue
            }
        }
        throw CancellationError()
    }

    /// All sessions of the tenant, or of the subtenant.
    public func sessions() async throws -> [SessionList.Item] {
        try await call(.get(ControlAPI.sessions), as: SessionList.self).sessions
    }

    /// Asks for the way to a repository.
    public func grant(_ request: GrantRequest, repository: ControlID) async throws -> Grant {
        try await call(.post(ControlAPI.grants(repository), request))
    }

    /// Asks for presigned requests.
    ///
    /// - Parameter request: at most `ControlAPI.mostTickets` in all.
    public func tickets(_ request: TicketRequest, repository: ControlID) async throws -> TicketAnswer {
        try await call(.post(ControlAPI.tickets(repository), request))
    }

    /// Has the provider list the own folder.
    ///
    /// - Parameters:
    ///   - prefix: of keys of the format's grammar, which need no escapes.
    ///   - limit: 1...1,000.
    public func objects(
        prefix: String,
        after: String?,
        limit: Int,
        repository: ControlID
    ) async throws -> [ListingAnswer.Item] {
        let path = "\(ControlAPI.objects(repository))?prefix=\(prefix)&limit=\(limit)"
        let request = ControlRequest.get(after.map { "\(path)&after=\($0)" } ?? path)
        return try await call(request, as: ListingAnswer.self).objects
    }

    /// Asks the provider to delete objects.
    ///
    /// - Parameter keys: below the tenant's folder; at most `ControlAPI.mostKeys`.
    public func delete(_ keys: [String], repository: ControlID) async throws -> DeletionAnswer {
        try await call(.post(ControlAPI.deletions(repository), DeletionRequest(keys: keys)))
    }

    /// When the provider took note of each snapshot, by its id.
    ///
    /// - Throws: `unavailable` when a receipt can't be understood; what a request throws.
    public func receipts(repository: ControlID) async throws -> [ObjectName: SnapshotReceipt] {
        var receipts: [ObjectName: SnapshotReceipt] = [:]
        var path: String? = ControlAPI.receipts(repository)
        while let page = path {
            let answer = try await call(.get(page), as: ReceiptsAnswer.self)
            for receipt in answer.receipts {
                guard let id = ObjectName(hex: receipt.snapshot), let time = Timestamp(saidSeconds: receipt.receivedAt),
                    let noted = Timestamp(saidSeconds: receipt.notedAt)
                else { throw HawserError(.unavailable, "The provider's server gave a receipt that is none.") }
                receipts[id] = SnapshotReceipt(time: time, noted: noted)
            }
            path = answer.next.map { "\(ControlAPI.receipts(repository))?after=\($0)" }
        }
        return receipts
    }

    /// Objects that are to be deleted and still there.
    ///
    /// - Parameter prefix: of keys of the format's grammar, which need no escapes.
    public func pendingDeletions(prefix: String, repository: ControlID) async throws -> Set<ObjectKey> {
        var keys: Set<ObjectKey> = []
        var path: String? = "\(ControlAPI.deletions(repository))?prefix=\(prefix)"
        while let page = path {
            let answer = try await call(.get(page), as: PendingDeletionsAnswer.self)
            keys.formUnion(answer.keys.lazy.compactMap { ObjectKey($0) })
            path = answer.next.map { "\(ControlAPI.deletions(repository))?prefix=\(prefix)&after=\($0)" }
        }
        return keys
    }
}
