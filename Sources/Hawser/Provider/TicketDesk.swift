import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Gets presigned requests from the provider's server, and keeps those for reading while they last: a pack is read in
/// many pieces.
final class TicketDesk: S3TicketIssuer {
    private struct Kept {
        var ticket: S3Ticket
        var until: ContinuousClock.Instant
    }

    private let connection: ProviderConnection
    private let repository: ControlID
    private let kept = Mutex<[ObjectKey: Kept]>([:])

    // Some hundred bytes each. When there are so many, those that have ended go, or else all.
    private static let mostKept = 4096

    init(connection: ProviderConnection, repository: ControlID) {
        self.connection = connection
        self.repository = repository
    }

    func ticket(toPut key: ObjectKey, length: Int, sha256: ObjectName) async throws -> S3Ticket? {
        let put = TicketRequest.Put(key: key.path, length: length, sha256: Data(sha256.bytes))
        let answer = try await connection.tickets(TicketRequest(puts: [put]), repository: repository)
        guard let ticket = answer.puts.first, ticket.key == key.path else { throw Self.missing(key) }
        switch ticket.outcome {
        case .granted: return try S3Ticket(ticket, key)
        case .stored: return nil
        case .refused:
            throw QuotaShortage(asked: length, free: answer.quota.free ?? 0, limit: answer.quota.limit).error
        }
    }

    func ticket(toGet key: ObjectKey, isRefused: Bool) async throws -> S3Ticket {
        let now = ContinuousClock.now
        if !isRefused, let found = kept.withLock({ $0[key] }), now < found.until { return found.ticket }
        let answer = try await connection.tickets(TicketRequest(gets: [key.path]), repository: repository)
        guard let given = answer.gets.first, given.key == key.path, given.outcome == .granted else {
            throw Self.missing(key)
        }
        let ticket = try S3Ticket(given, key)
        // The storage's clock may be a little ahead of the provider's.
        let life = Duration.seconds(min(given.expiresIn ?? 0, 1 << 30)) * 3 / 4
        kept.withLock { kept in
            if kept.count >= Self.mostKept {
                kept = kept.filter { now < $0.value.until }
                if kept.count >= Self.mostKept { kept = [:] }
            }
            kept[key] = Kept(ticket: ticket, until: now + life)
        }
        return ticket
    }

    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        let items = try await connection.objects(
            prefix: prefix,
            after: after?.path,
            limit: limit,
            repository: repository
        )
        return items.compactMap { item in
            ObjectKey(item.key).map {
                ObjectInfo(key: $0, length: item.length, stored: item.stored.flatMap(Timestamp.init(saidSeconds:)))
            }
        }
    }

    private static func missing(_ key: ObjectKey) -> HawserError {
        HawserError(.unavailable, "The provider's server gave no request for the object.", place: key.path)
    }
}

extension S3Ticket {
    fileprivate init(_ ticket: Ticket, _ key: ObjectKey) throws {
        guard let url = ticket.url else {
            throw HawserError(.unavailable, "The provider's server gave a request without an address.", place: key.path)
        }
        self.init(url: url, headers: (ticket.headers ?? [:]).map { (name: $0.key, value: $0.value) })
    }
}
