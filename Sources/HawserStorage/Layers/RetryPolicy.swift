public import HawserFormat

/// How often and for how long a failed request is repeated.
public struct RetryPolicy: Hashable, Sendable {
    /// The first one included; 1 or more.
    public var maximumAttempts: Int
    /// The upper bound of the first pause; it doubles with each attempt.
    public var firstDelay: Duration
    /// The upper bound of every pause, unless the storage asks for a longer one.
    public var maximumDelay: Duration
    /// From the first attempt to the beginning of the last.
    public var maximumTime: Duration

    // Eight attempts with pauses of 0.1 to 15 s, half of that on average, bridge about 20 s: a restart of a server or
    // a change of its address. Longer failures are better told to people than waited for.
    public init(
        maximumAttempts: Int = 8,
        firstDelay: Duration = .milliseconds(200),
        maximumDelay: Duration = .seconds(15),
        maximumTime: Duration = .seconds(300)
    ) {
        self.maximumAttempts = maximumAttempts
        self.firstDelay = firstDelay
        self.maximumDelay = maximumDelay
        self.maximumTime = maximumTime
    }
}

/// The state of one request: which attempt it is in, and what follows a failure.
package struct RetryState {
    private let policy: RetryPolicy
    /// The failed ones.
    private(set) var attempts = 0

    package init(policy: RetryPolicy) {
        self.policy = policy
    }

    /// How long to pause after `error`; `nil`: give up.
    ///
    /// Exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): the
    /// pause is uniformly distributed between zero and a bound that doubles. What the storage asks for comes on top,
    /// so that clients that were sent away together don't come back together.
    /// - Parameters:
    ///   - elapsed: since the first attempt began.
    ///   - random: in 0..<1.
    package mutating func pause(after error: any Error, elapsed: Duration, random: Double) -> Duration? {
        attempts += 1
        guard let error = error as? HawserError, error.isRetryable, attempts < policy.maximumAttempts else {
            return nil
        }
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
