import GRDB
import HawserControl
import HawserFormat
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The sessions in memory: each request is one look-up, and a request's time costs no transaction.
///
/// The database holds the same: rows are entered and ended there first. Only `lastRequest` is written at the end alone.
final class SessionTable: Sendable {
    /// A session is alive until so long after its last request.
    static let silenceLimit = Duration.seconds(15 * 60)

    private struct State {
        var byToken: [Data: SessionRecord] = [:]
        var tokens: [ControlID: Data] = [:]
    }

    private let state = Mutex(State())
    private let clock: ProviderClock

    init(clock: ProviderClock) {
        self.clock = clock
    }

    /// A session does not die of the server's own silence: for those that lived, the time without a server does not count.
    func load(_ db: Database) throws {
        for row in try db.rows("SELECT * FROM session WHERE ended IS NULL") {
            var session = try SessionRecord(row)
            session.lastRequest = max(session.lastRequest, clock.steady)
            insert(session, token: row["token"])
        }
    }

    func insert(_ session: SessionRecord, token: Data) {
        state.withLock { state in
            state.byToken[token] = session
            state.tokens[session.id] = token
        }
    }

    func end(_ id: ControlID, at time: Moment, _ problem: ControlProblem?) {
        state.withLock { state in
            guard let token = state.tokens[id] else { return }
            state.byToken[token]?.ended = time
            state.byToken[token]?.problem = problem
        }
    }

    /// Counts as a request.
    func use(token: Data) throws -> SessionRecord {
        let now = clock.steady
        let found = state.withLock { state -> SessionRecord? in
            guard let session = state.byToken[token] else { return nil }
            if session.ended == nil, now - session.lastRequest < Self.silenceLimit {
                state.byToken[token]?.lastRequest = now
            }
            return session
        }
        guard let found else {
            throw HawserError(.notSignedIn, "The session is not known. Sign in again.")
        }
        if let problem = found.problem { throw problem.error }
        guard found.ended == nil, now - found.lastRequest < Self.silenceLimit else { throw Self.isOver }
        return found
    }

    static var isOver: HawserError {
        HawserError(.sessionOver, "The session is over. Open a new one.")
    }

    func session(_ id: ControlID) -> SessionRecord? {
        state.withLock { state in state.tokens[id].flatMap { state.byToken[$0] } }
    }

    var all: [SessionRecord] {
        state.withLock { Array($0.byToken.values) }
    }

    /// Those that have been silent for too long, but are not ended yet.
    var silent: [SessionRecord] {
        let now = clock.steady
        return all.filter { $0.ended == nil && now - $0.lastRequest >= Self.silenceLimit }
    }

    /// Forgets what ended long enough ago that nobody asks why any more.
    func forgetEnded() {
        let now = clock.steady
        state.withLock { state in
            for (token, session) in state.byToken {
                guard let ended = session.ended, now - ended >= Self.silenceLimit else { continue }
                state.byToken[token] = nil
                state.tokens[session.id] = nil
            }
        }
    }
}
