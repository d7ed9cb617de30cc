public import HawserFormat

/// The body of every answer that is an error, and why a session was ended.
public struct ControlProblem: Codable, Sendable, Hashable {
    /// Short and stable; open. Those of `HawserError.Code` mean the same here.
    public var code: String
    /// What happened and what to do, for people.
    public var message: String
    /// Seconds, where trying again can help.
    public var retryAfter: Double?

    public init(_ code: HawserError.Code, _ message: String, retryAfter: Double? = nil) {
        self.code = code.description
        self.message = message
        self.retryAfter = retryAfter
    }

    public var error: HawserError {
        HawserError(
            HawserError.Code(code),
            message,
            isRetryable: retryAfter != nil,
            retryAfter: retryAfter.map { Duration(saidSeconds: $0) }
        )
    }
}

extension HawserError.Code {
    /// The device, its signature, the nonce or the one-time code is not known. The answer tells no difference.
    public static let notSignedIn = Self("not_signed_in")
    /// The provider has disabled the tenant or subtenant.
    public static let tenantDisabled = Self("tenant_disabled")
    /// The contract with the provider is over; restores are still possible.
    public static let leaseOver = Self("lease_over")
    /// The provider has revoked this device or its credentials.
    public static let revoked = Self("revoked")
    /// The tenant has as many sessions as the provider allows.
    public static let tooManySessions = Self("too_many_sessions")
    /// The provider has closed for maintenance.
    public static let maintenance = Self("maintenance")
    /// More requests than allowed.
    public static let tooManyRequests = Self("too_many_requests")
    /// Neither direct nor gateway mode is possible as the provider has set the repository up, or now.
    public static let noWay = Self("no_way")
}
