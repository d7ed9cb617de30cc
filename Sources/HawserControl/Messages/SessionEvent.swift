/// One line of a session's event stream: a JSON object whose `type` says what it is.
public enum SessionEvent: Sendable, Hashable {
    /// The first line of each stream, and after each change of quota, lease, mode or maintenance.
    case state(SessionState)
    /// Every 20 s.
    case heartbeat
    /// There are new credentials to ask for; they never travel on this stream.
    case credentialsReady(repository: ControlID, generation: Int)
    /// The session is over: disabled, lease over, ended by the provider, device revoked.
    case revoked(ControlProblem)
    /// Give back what leases have not used, because another session needs it.
    case returnUnused(repository: ControlID)
    /// From the next object on, data goes this way: ask for a new grant.
    case changeMode(repository: ControlID, mode: ConnectionMode)
    /// The server stops; come back after that many seconds.
    case reconnect(after: Double)
    /// Of a later version; to be ignored.
    case unknown(type: String)
}

extension SessionEvent: Codable {
    private enum Key: String, CodingKey {
        case type, state, repository, generation, problem, mode, after
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        switch try fields.decode(String.self, forKey: .type) {
        case "state": self = .state(try fields.decode(SessionState.self, forKey: .state))
        case "heartbeat": self = .heartbeat
        case "credentialsReady":
            self = .credentialsReady(
                repository: try fields.decode(ControlID.self, forKey: .repository),
                generation: try fields.decode(Int.self, forKey: .generation)
            )
        case "revoked": self = .revoked(try fields.decode(ControlProblem.self, forKey: .problem))
        case "returnUnused": self = .returnUnused(repository: try fields.decode(ControlID.self, forKey: .repository))
        case "changeMode":
            self = .changeMode(
                repository: try fields.decode(ControlID.self, forKey: .repository),
                mode: try fields.decode(ConnectionMode.self, forKey: .mode)
            )
        case "reconnect": self = .reconnect(after: try fields.decode(Double.self, forKey: .after))
        case let type: self = .unknown(type: type)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        switch self {
        case .state(let state):
            try fields.encode("state", forKey: .type)
            try fields.encode(state, forKey: .state)
        case .heartbeat:
            try fields.encode("heartbeat", forKey: .type)
        case .credentialsReady(let repository, let generation):
            try fields.encode("credentialsReady", forKey: .type)
            try fields.encode(repository, forKey: .repository)
            try fields.encode(generation, forKey: .generation)
        case .revoked(let problem):
            try fields.encode("revoked", forKey: .type)
            try fields.encode(problem, forKey: .problem)
        case .returnUnused(let repository):
            try fields.encode("returnUnused", forKey: .type)
            try fields.encode(repository, forKey: .repository)
        case .changeMode(let repository, let mode):
            try fields.encode("changeMode", forKey: .type)
            try fields.encode(repository, forKey: .repository)
            try fields.encode(mode, forKey: .mode)
        case .reconnect(let after):
            try fields.encode("reconnect", forKey: .type)
            try fields.encode(after, forKey: .after)
        case .unknown(let type):
            try fields.encode(type, forKey: .type)
        }
    }
}
