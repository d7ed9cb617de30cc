public import HawserFormat

/// What is known of the provider at the moment. The newest replaces all before it: nothing has to be read that was
/// missed.
public struct ConnectionStatus: Sendable {
    public enum Phase: Sendable {
        /// For the first time.
        case connecting
        case connected
        /// It will be back; requests wait.
        case away
        case ended(HawserError)
    }

    public internal(set) var phase = Phase.connecting
    /// A change means: the session before is over, and its leases with it.
    public internal(set) var session: ControlID?
    /// Since the first connection.
    public internal(set) var state: SessionState?
    /// By how much the provider's clock is ahead of this machine's.
    public internal(set) var clockAhead = Duration.zero
    /// How often the provider has asked for what leases of a repository have not used.
    public internal(set) var returnsAsked: [ControlID: Int] = [:]
    /// Counts the connections.
    var link = 0

    public func repository(_ id: ControlID) -> RepositoryState? {
        state?.repositories.first { $0.repository == id }
    }

    mutating func changeRepository(_ id: ControlID, _ change: (inout RepositoryState) -> Void) {
        guard let index = state?.repositories.firstIndex(where: { $0.repository == id }) else { return }
        if var repository = state?.repositories[index] {
            change(&repository)
            state?.repositories[index] = repository
        }
    }
}

/// The statuses of a connection: first the present one, then the newest whenever the reader comes for it.
public struct ConnectionStatuses: AsyncSequence, Sendable {
    public typealias Element = ConnectionStatus

    let broadcast: Broadcast<ConnectionStatus>

    public func makeAsyncIterator() -> AsyncStream<ConnectionStatus>.Iterator {
        broadcast.values().makeAsyncIterator()
    }
}
