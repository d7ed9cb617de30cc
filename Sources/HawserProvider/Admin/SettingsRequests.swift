import HawserFormat

/// The ledger's numbers.
public struct SettingsShow: AdminRequest {
    public static let operation = "settings.show"

    public init() {}

    public func run(_ service: AdminService) async throws -> LedgerSettings { service.database.ledgerSettings }
}

/// Counts for what is handed out from now on.
public struct SettingsSet: AdminRequest {
    public static let operation = "settings.set"
    public var settings: LedgerSettings

    public init(_ settings: LedgerSettings) {
        self.settings = settings
    }

    public func run(_ service: AdminService) async throws -> LedgerSettings {
        try settings.check()
        try await service.database.setLedgerSettings(settings, actor: service.actor)
        return service.database.ledgerSettings
    }
}

extension LedgerSettings {
    /// - Throws: `invalidArgument` for what would lose bytes, or stop tenants.
    fileprivate func check() throws {
        let bounds: [(value: Int, ClosedRange<Int>, name: String)] = [
            // Machines ask for the next one ahead of need, over networks that are slow.
            (leaseLifetime, 60...86_400, "The life of a lease"),
            (leaseSpan, 1...3600, "The time that a lease is for"),
            // docs/control-protocol.md, 6.
            (ticketLifetime, 60...900, "The life of a ticket"),
            // The clocks' difference and the longest PUT: what a ticket stored after it would count for nobody.
            (ticketGrace, 3900...86_400, "The time after a ticket's end"),
            (pruneMinimum, 0...(1 << 40), "What a prune may write beyond the limit"),
            (pruneDivisor, 1...1_000_000, "The divisor for what a prune may write beyond the limit"),
        ]
        for (value, range, name) in bounds where !range.contains(value) {
            throw HawserError(.invalidArgument, "\(name) is \(range.lowerBound) to \(range.upperBound), not \(value).")
        }
    }
}
