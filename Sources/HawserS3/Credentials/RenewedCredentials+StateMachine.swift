import HawserFormat

/// What is held of credentials, if only under a seal.
protocol HeldCredentials: Sendable {
    var accessKeyID: String { get }
}

extension S3Credentials: HeldCredentials {}

/// What is held, and when it is to be renewed. Times are those of a clock that only goes forward.
struct RenewalState<Credentials: HeldCredentials> {
    /// What a request does.
    enum Step {
        case use(Credentials)
        /// The caller renews; if that fails, the old ones serve.
        case renew(attempts: Int, old: Credentials)
        case load(attempts: Int)
    }

    /// What follows a refusal by the storage.
    enum Refusal {
        /// There are other credentials already.
        case others
        /// These were got just now because of a refusal: this one has another reason.
        case none
        case load(attempts: Int, old: Credentials?)
    }

    private struct Held {
        var credentials: Credentials
        var loaded: Duration
        /// Whether they were asked for because the storage refused those before.
        var followsRefusal: Bool
        var ends: Duration?
        /// From here on one request tries to get new ones.
        var renews: Duration?
    }

    private var held: Held?
    private var isRenewing = false
    /// Attempts that have ended, and how the last one did.
    private var attempts = 0
    private var failure: HawserError?

    /// So long before the end; of short ones when a third is left: sessions of 15 minutes, the shortest that AWS gives,
    /// should not be renewed all the time.
    let longestLead: Duration
    private static var leadDivisor: Int { 3 }
    // After an attempt that failed, and after one that a refusal led to: a storage that refuses everything must not
    // have the source asked with every request.
    private static var pause: Duration { .seconds(30) }
    // A metadata service can give the same credentials again until they end.
    private static var shortestHold: Duration { .seconds(1) }

    init(longestLead: Duration) {
        self.longestLead = longestLead
    }

    mutating func next(now: Duration) -> Step {
        guard let held else { return .load(attempts: attempts) }
        if let ends = held.ends, now >= ends { return .load(attempts: attempts) }
        guard let renews = held.renews, now >= renews, !isRenewing else { return .use(held.credentials) }
        isRenewing = true
        return .renew(attempts: attempts, old: held.credentials)
    }

    mutating func refused(_ accessKeyID: String, now: Duration) -> Refusal {
        guard let held else { return .load(attempts: attempts, old: nil) }
        if held.credentials.accessKeyID != accessKeyID { return .others }
        if held.followsRefusal, now - held.loaded < Self.pause, held.ends.map({ now < $0 }) ?? true { return .none }
        return .load(attempts: attempts, old: held.credentials)
    }

    /// `nil` when no attempt has ended since there were `attempts`.
    func outcome(after attempts: Int) -> Result<Credentials, HawserError>? {
        guard self.attempts > attempts else { return nil }
        if let failure { return .failure(failure) }
        return (held?.credentials).map { .success($0) }
    }

    /// - Parameter lifetime: until they end, by the clock of this machine. Where that clock is wrong it can be negative:
    ///   they are tried nevertheless, and the storage decides.
    mutating func loaded(_ credentials: Credentials, lifetime: Duration?, followsRefusal: Bool, now: Duration) {
        attempts += 1
        failure = nil
        isRenewing = false
        held = Held(credentials: credentials, loaded: now, followsRefusal: followsRefusal)
        guard let lifetime else { return }
        let rest = lifetime > .zero ? lifetime : Self.pause
        held?.ends = now + rest
        let lead = min(longestLead, rest / Self.leadDivisor)
        held?.renews = now + max(rest - lead, Self.shortestHold)
    }

    mutating func failed(_ error: HawserError, now: Duration) {
        attempts += 1
        failure = error
        isRenewing = false
        if held?.renews != nil { held?.renews = now + Self.pause }
    }

    /// There are newer ones to be had: the next request tries to get them.
    mutating func outdate(now: Duration) {
        held?.renews = now
    }

    /// The request that asked was cancelled: the next one may.
    mutating func cancelled() {
        isRenewing = false
    }
}
