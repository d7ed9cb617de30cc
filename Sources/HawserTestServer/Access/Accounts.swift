import HawserFormat
import Synchronization

/// A key and what goes with it: a user's, or a session's.
struct Account: Sendable {
    var accessKeyID: String
    var secretAccessKey: String
    /// Of sessions.
    var token: String?
    var expiration: Timestamp?
    /// Each must allow what is done; none stands for everything.
    var policies: [AccessPolicy]
    /// Whose policy, as it is when something is done, must allow that too: of a role that was made by a request.
    var role: RoleTable.Session?
}

/// Who sent a request.
struct Identity: Sendable {
    var accessKeyID: String
    var policies: [AccessPolicy]
    var isSession: Bool

    func may(_ action: PolicyAction) -> Bool {
        policies.allSatisfy { $0.allows(action) }
    }

    func check(_ action: PolicyAction) throws(ServiceError) {
        guard may(action) else { throw .accessDenied() }
    }
}

final class Accounts: Sendable {
    private struct State {
        var accounts: [String: Account]
        /// In the order of their beginning.
        var sessions: [String] = []
    }

    // So many that no test misses one, few enough that a server which runs for months does not grow.
    private static let sessionLimit = 10_000

    private let state: Mutex<State>

    init(_ users: [S3TestServer.Configuration.User]) {
        let accounts = users.map { user in
            Account(
                accessKeyID: user.accessKeyID,
                secretAccessKey: user.secretAccessKey,
                policies: user.policy.map { [$0] } ?? []
            )
        }
        state = Mutex(State(accounts: Dictionary(accounts.map { ($0.accessKeyID, $0) }) { first, _ in first }))
    }

    func account(_ accessKeyID: String) -> Account? {
        state.withLock { $0.accounts[accessKeyID] }
    }

    /// Access keys of the sessions that were given out and not revoked, oldest first.
    var sessions: [String] { state.withLock { $0.sessions } }

    func begin(_ session: Account) {
        state.withLock { state in
            state.accounts[session.accessKeyID] = session
            state.sessions.append(session.accessKeyID)
            if state.sessions.count > Self.sessionLimit {
                state.accounts[state.sessions.removeFirst()] = nil
            }
        }
    }

    func expire(_ accessKeyID: String, at time: Timestamp) {
        state.withLock { state in
            if state.accounts[accessKeyID]?.token != nil { state.accounts[accessKeyID]?.expiration = time }
        }
    }

    func revoke(_ accessKeyID: String) {
        state.withLock { state in
            state.accounts[accessKeyID] = nil
            state.sessions.removeAll { $0 == accessKeyID }
        }
    }

    /// Letters and digits, as in keys of AWS.
    static func randomText(_ count: Int) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        return String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count)] })
    }
}
