import HawserControl
import HawserFormat

extension ProviderStore {
    /// Which way is in use, and when another one is to be asked for. Pure: times come from outside, and what has to be done
    /// goes back.
    struct StateMachine {
        enum State {
            /// A grant has to be asked for. Can transition to: open.
            case closed
            /// Can transition to: closed.
            case open(ProviderWay)
        }

        /// What the caller of a failed operation does.
        enum Verdict: Equatable {
            /// The same operation again, by the way that is there then.
            case again
            /// Tells its caller.
            case fail
        }

        private(set) var state = State.closed
        /// Ways so far.
        private(set) var count = 0
        /// Until when the direct way is not tried again.
        private var avoidsDirectUntil: Duration?
        /// Failures without a success in between.
        private var failures = 0
        private let settings: Settings

        init(settings: Settings) {
            self.settings = settings
        }

        /// The way to be used now; `nil`: one has to be opened.
        mutating func current(now: Duration) -> ProviderWay? {
            guard case .open(let way) = state else { return nil }
            // The direct way may be well again.
            if let until = avoidsDirectUntil, now >= until {
                avoidsDirectUntil = nil
                close()
                return nil
            }
            return way
        }

        /// What the next grant is to avoid.
        func avoid(now: Duration) -> ConnectionMode? {
            avoidsDirectUntil.map { now < $0 } ?? false ? .direct : nil
        }

        mutating func opened(_ way: ProviderWay) {
            count = way.number
            failures = 0
            state = .open(way)
        }

        mutating func succeeded() {
            failures = 0
        }

        /// - Parameter attempt: of the same operation, from 1.
        mutating func failed(_ way: ProviderWay, _ error: HawserError, attempt: Int, now: Duration) -> Verdict {
            guard case .open(let current) = state, current.number == way.number else {
                // Somebody else has found the way to be bad meanwhile.
                return attempt < settings.mostAttempts && Self.concernsWay(error) ? .again : .fail
            }
            switch error.code {
            case .notSignedIn, .sessionOver:
                // The gateway server does not know the token any more.
                guard way.mode == .gateway, attempt < settings.mostAttempts else { return .fail }
                close()
                return .again
            case .accessDenied:
                // The vault has asked for other credentials and they were refused too: perhaps access has changed.
                guard way.mode == .direct, attempt == 1 else { return .fail }
                close()
                return .again
            case .unavailable where error.isRetryable:
                failures += 1
                guard failures >= settings.failuresBeforeChange else { return .fail }
                if way.mode == .direct, way.fallback == .gateway { avoidsDirectUntil = now + settings.returnAfter }
                close()
                return attempt < settings.mostAttempts ? .again : .fail
            default:
                return .fail
            }
        }

        private static func concernsWay(_ error: HawserError) -> Bool {
            [.notSignedIn, .sessionOver, .accessDenied, .unavailable].contains(error.code)
        }

        /// The provider refuses to avoid the direct way: it is tried again.
        mutating func couldNotAvoid() {
            avoidsDirectUntil = nil
        }

        /// The provider has changed the mode: the next object goes the new way.
        mutating func close() {
            failures = 0
            state = .closed
        }
    }

    /// When it changes the way.
    public struct Settings: Sendable {
        /// So many failures in a row, each repeated after a pause, and another way is asked for.
        public var failuresBeforeChange = 3
        /// How long the gateway is used in place of a direct way that failed, before that is tried again.
        public var returnAfter = Duration.seconds(300)
        /// Of one operation, by one way after the other.
        var mostAttempts = 3

        public init() {}
    }
}
