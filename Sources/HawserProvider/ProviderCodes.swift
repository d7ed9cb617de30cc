public import HawserFormat

extension HawserError.Code {
    /// Another server has taken over the configuration database; this one may not write any more.
    public static let takenOver = Self("taken_over")
    /// Another server is running on the configuration database.
    public static let alreadyRunning = Self("already_running")
    /// The provider key does not fit the configuration database.
    public static let wrongProviderKey = Self("wrong_provider_key")
    /// After a restore of the configuration database: restores only, until it is known what the storage holds.
    public static let recovery = Self("recovery")
}

/// Why `quotaExceeded` was thrown: its cause. Bytes.
public struct AccountShortage: Error, Hashable, Sendable, CustomStringConvertible {
    public var asked: Int
    public var free: Int
    /// Whether it is the tenant's quota, not the subtenant's own, that is too small.
    public var isTenants: Bool

    public var description: String { "\(asked) bytes asked for, \(free) free" }

    var error: HawserError {
        HawserError(
            .quotaExceeded,
            "The quota\(isTenants ? " of the tenant" : "") is used up: \(asked) bytes were asked for, \(free) are "
                + "free. Forget snapshots and prune, or ask the provider for more.",
            cause: self
        )
    }
}
