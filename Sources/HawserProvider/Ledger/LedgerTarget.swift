public import HawserControl

/// Whose session writes into which folder.
public struct LedgerTarget: Sendable, Hashable {
    public var session: ControlID
    public var tenant: ControlID
    /// Whose folder: a tenant's session may prune what a subtenant has.
    public var subtenant: ControlID?
    public var repository: ControlID

    public init(session: ControlID, tenant: ControlID, subtenant: ControlID?, repository: ControlID) {
        self.session = session
        self.tenant = tenant
        self.subtenant = subtenant
        self.repository = repository
    }

    /// The session's own folder.
    public init(_ session: SessionRecord, repository: ControlID) {
        self.init(
            session: session.id,
            tenant: session.tenant,
            subtenant: session.subtenant,
            repository: repository
        )
    }
}

/// Bytes that are set aside.
public struct LeaseGrant: Sendable, Hashable {
    public var lease: ControlID
    public var bytes: Int
    public var expiresIn: Duration
}

/// What became of one object in a request for tickets.
public enum TicketOutcome: Sendable, Hashable {
    /// Its length is set aside; asking again gives the same reservation more time.
    case granted(expiresIn: Duration)
    /// This session has stored it already; it costs nothing.
    case stored
    /// No room.
    case refused(AccountShortage)

    var isRefused: Bool { if case .refused = self { true } else { false } }
}

/// An object whose ticket has ended; a HEAD of the storage tells whether it is there.
public struct EndedTicket: Sendable, Hashable {
    public var session: ControlID
    public var folder: ControlID
    /// Below the folder.
    public var key: String
    public var length: Int
}
