/// Paths and limits of the control protocol (`docs/control-protocol.md`), which both sides share.
public enum ControlAPI {
    /// Of the protocol. A server says what it speaks in `SessionAnswer.api`.
    public static let version = 1

    /// Where a cloud gateway listens when nobody says otherwise.
    public static let defaultPort = 6180

    /// Bytes of a request's body. A list of 1,000 keys stays below.
    public static let largestRequest = 256 << 10

    /// Bytes of an answer, and of one line of the event stream.
    public static let largestAnswer = 1 << 20

    /// The most keys in one request for commits or deletions.
    public static let mostKeys = 1000

    /// The most tickets in one request: with their answer's headers they stay below `largestAnswer`.
    public static let mostTickets = 100

    public static let devices = "/v1/devices"
    public static let nonces = "/v1/nonces"
    public static let sessions = "/v1/sessions"

    public static func session(_ id: ControlID) -> String { "\(sessions)/\(id)" }
    public static func events(_ id: ControlID) -> String { "\(sessions)/\(id)/events" }
    public static func grants(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/grants" }
    public static func leases(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/leases" }
    public static func commits(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/commits" }
    public static func tickets(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/tickets" }
    /// Takes `prefix`, `after` and `limit` (1...1,000) in the query.
    public static func objects(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/objects" }
    /// Takes `after` in the query.
    public static func receipts(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/receipts" }
    public static func deletions(_ repository: ControlID) -> String { "/v1/repositories/\(repository)/deletions" }
}
