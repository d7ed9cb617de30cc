import HawserFormat
import HawserStorage
import Synchronization

/// Gets credentials, and gets new ones before they end: by one request at a time, while the others go on with the old
/// ones as long as these are valid, and wait otherwise. When that fails, old ones that are still valid are used, and it is
/// tried again a little later.
final class Renewal<Credentials: HeldCredentials>: Sendable {
    struct Loaded: Sendable {
        var credentials: Credentials
        /// `nil`: without an end.
        var lifetime: Duration?
    }

    private let load: @Sendable () async throws -> Loaded
    private let stopwatch: Stopwatch
    private let state: Mutex<RenewalState<Credentials>>
    private let turn = AsyncSemaphore(total: 1)

    /// - Parameters:
    ///   - longestLead: how long before their end they are renewed, if that is not more than a third of their life.
    ///   - clock: counts how long credentials are held. It should go on while the machine sleeps.
    init(
        longestLead: Duration,
        clock: any Clock<Duration>,
        load: @escaping @Sendable () async throws -> Loaded
    ) {
        self.load = load
        stopwatch = Stopwatch(clock)
        state = Mutex(RenewalState(longestLead: longestLead))
    }

    /// The storage refused a request.
    ///
    /// - Returns: whether there are others now, by `areOther`.
    func renew(
        refused accessKeyID: String,
        areOther: (_ new: Credentials, _ old: Credentials?) -> Bool
    ) async throws -> Bool {
        let now = stopwatch.elapsed()
        switch state.withLock({ $0.refused(accessKeyID, now: now) }) {
        case .others: return true
        case .none: return false
        case .load(let attempts, let old):
            let new = try await load(unlessAfter: attempts, followsRefusal: true)
            return new.accessKeyID != accessKeyID || areOther(new, old)
        }
    }

    /// There are newer ones to be had.
    func outdate() {
        let now = stopwatch.elapsed()
        state.withLock { $0.outdate(now: now) }
    }

    func current() async throws -> Credentials {
        let now = stopwatch.elapsed()
        switch state.withLock({ $0.next(now: now) }) {
        case .use(let credentials):
            return credentials
        case .renew(let attempts, let old):
            do {
                return try await load(unlessAfter: attempts)
            } catch is HawserError {
                return old
            }
        case .load(let attempts):
            return try await load(unlessAfter: attempts)
        }
    }

    /// - Parameter attempts: how many had ended when the caller decided. Who had to wait for another attempt takes what
    ///   came of it.
    private func load(unlessAfter attempts: Int, followsRefusal: Bool = false) async throws -> Credentials {
        do {
            return try await turn.withTaken {
                if let outcome = state.withLock({ $0.outcome(after: attempts) }) { return try outcome.get() }
                return try await load(followsRefusal: followsRefusal)
            }
        } catch let error as CancellationError {
            state.withLock { $0.cancelled() }
            throw error
        }
    }

    private func load(followsRefusal: Bool) async throws -> Credentials {
        do {
            let new = try await load()
            let now = stopwatch.elapsed()
            state.withLock {
                $0.loaded(new.credentials, lifetime: new.lifetime, followsRefusal: followsRefusal, now: now)
            }
            return new.credentials
        } catch let error as HawserError {
            let now = stopwatch.elapsed()
            state.withLock { $0.failed(error, now: now) }
            throw error
        }
    }
}
