public import HawserFormat

/// How often and for how long a failed request is repeated.
public struct RetryPolicy: Hashable, Sendable {
    /// The first one included; 1 or more. A storage that was reached before gets twice as many, and none are counted while
    /// nothing else gets through either: it is away then, and waited for.
    public var maximumAttempts: Int
    /// The upper bound of the first pause; it doubles with each attempt.
    public var firstDelay: Duration
    /// The upper bound of every pause, unless the storage asks for a longer one.
    public var maximumDelay: Duration
    /// From the first failure to the beginning of the last attempt.
    public var maximumTime: Duration

    // Eight attempts bridge 13 s on average, enough to find an address wrong; sixteen 70 s, of a storage that answers
    // others and fails a single object. A storage that is away for up to ten minutes is a restart, an update, or a network that changes:
    // longer failures are better told to people than waited for.
    public init(
        maximumAttempts: Int = 8,
        firstDelay: Duration = .milliseconds(200),
        maximumDelay: Duration = .seconds(15),
        maximumTime: Duration = .seconds(600)
    ) {
        self.maximumAttempts = maximumAttempts
        self.firstDelay = firstDelay
        self.maximumDelay = maximumDelay
        self.maximumTime = maximumTime
    }
}

/// What other requests tell of a storage that has failed one.
package enum StorageReach: Sendable {
    /// None was ever answered: the address may be wrong.
    case unknown
    /// They got through before, and don't any more.
    case away
    /// They get through.
    case present
}

/// The state of one request: which attempt it is in, and what follows a failure.
package struct RetryState {
    private let policy: RetryPolicy
    /// The failed ones.
    private(set) var attempts = 0
    /// Those of them that were not made while the storage was away.
    private var counted = 0

    package init(policy: RetryPolicy) {
        self.policy = policy
    }

    /// How long to pause after `error`; `nil`: give up.
    ///
    /// Exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): the
    /// pause is uniformly distributed between zero and a bound that doubles. What the storage asks for comes on top,
    /// so that clients that were sent away together don't come back together.
    /// - Parameters:
    ///   - elapsed: since the first failure.
    ///   - random: in 0..<1.
    package mutating func pause(
        after error: any Error,
        elapsed: Duration,
        random: Double,
        storage: StorageReach = .unknown
    ) -> Duration? {
        attempts += 1
        if storage != .away { counted += 1 }
        let limit = storage == .unknown ? policy.maximumAttempts : 2 * policy.maximumAttempts
        guard let error = error as? HawserError, error.isRetryable, counted < limit else { return nil }
        // Past 2^30 every bound is above the maximum.
        let bound = min(policy.maximumDelay, policy.firstDelay * (1 << min(attempts - 1, 30)))
        let pause = bound * random + max(error.retryAfter ?? .zero, .zero)
        return elapsed + pause <= policy.maximumTime ? pause : nil
    }
}

/// A request that failed and will be repeated.
public struct RetryEvent: Sendable {
    public var operation: StoreOperation
    /// How many attempts have failed.
    public var attempts: Int
    /// Until the next attempt.
    public var pause: Duration
    public var error: HawserError
}
