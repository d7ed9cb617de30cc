import HawserFormat

extension ProviderConnection {
    /// Where a session is and what follows what. Pure: it has no clock and no connection, and says what to do next.
    struct StateMachine {
        enum State {
            /// Nothing was sent yet. Can transition to: signingIn.
            case idle
            /// A new session is asked for. Can transition to: connected, pausing, ended.
            case signingIn
            /// A session that was cut off is taken up. Can transition to: connected, signingIn, pausing, ended.
            case resuming(Session)
            /// Can transition to: signingIn, pausing, ended.
            case connected(Session)
            /// With the session that is to be taken up, if there is one. Can transition to: signingIn, resuming.
            case pausing(Session?)
            case ended(HawserError)
        }

        enum Action {
            case signIn(GatewayAddress)
            /// Open the event stream and keep it.
            case follow(Session, GatewayAddress)
            case pause(Duration)
            case stop(HawserError)
        }

        private(set) var state = State.idle
        private var gateways: [GatewayAddress]
        private var turn = 0
        /// Attempts that failed, one after the other.
        private var failures = 0
        /// Sign-ins that were refused, one after the other.
        private var refusals = 0
        private var wasConnected = false
        /// Since when there is no connection.
        private var awaySince: Duration?
        private let settings: Settings

        /// - Parameter gateways: at least one.
        init(gateways: [GatewayAddress], settings: Settings) {
            self.gateways = gateways
            self.settings = settings
        }

        /// The one to be tried next, or in use.
        var gateway: GatewayAddress { gateways[turn % gateways.count] }

        mutating func start(now: Duration) -> Action {
            awaySince = now
            return signIn()
        }

        private mutating func signIn() -> Action {
            state = .signingIn
            return .signIn(gateway)
        }

        /// - Parameter gateways: as the server names them; the one in use stays in use.
        mutating func signedIn(_ session: Session, gateways: [GatewayAddress]) -> Action {
            let current = gateway
            if !gateways.isEmpty {
                self.gateways = gateways
                turn = gateways.firstIndex(of: current) ?? 0
            }
            opened(session)
            // The old address may not be among the new ones, but it works.
            return .follow(session, current)
        }

        /// The server has answered for this session.
        mutating func opened(_ session: Session) {
            state = .connected(session)
            refusals = 0
            wasConnected = true
            awaySince = nil
        }

        /// The connection has held for a while: what failed before is forgotten. A server that takes connections and
        /// drops them at once is not tried ever faster.
        mutating func proved() {
            failures = 0
        }

        /// The server stops and asks to come back later.
        mutating func asked(toComeBackAfter seconds: Double, now: Duration) -> Action {
            guard let session else { return failed(Self.broken, now: now, random: 1) }
            awaySince = awaySince ?? now
            state = .pausing(session)
            return .pause(min(max(Duration(saidSeconds: seconds), .zero), settings.longestRequestedPause))
        }

        mutating func woke() -> Action {
            guard case .pausing(let session?) = state else { return signIn() }
            state = .resuming(session)
            return .follow(session, gateway)
        }

        /// The sign-in failed, or the connection of a session broke.
        ///
        /// - Parameter random: in 0..<1.
        mutating func failed(_ error: HawserError, now: Duration, random: Double) -> Action {
            awaySince = awaySince ?? now
            switch (error.code, state) {
            case (.sessionOver, _), (.notSignedIn, .resuming), (.notSignedIn, .connected):
                // What the server has forgotten is not taken up. The first time at once; a server that forgets each one
                // is not asked again and again.
                failures += 1
                return failures == 1 ? signIn() : pause(nil, error, now: now, random: random)
            case (.notSignedIn, _):
                // A server that restarts has forgotten its nonces: only the second refusal means this device.
                refusals += 1
                guard refusals < 2 else { return end(error) }
                failures += 1
                return pause(nil, error, now: now, random: random)
            default:
                guard error.isRetryable else { return end(error) }
                failures += 1
                turn = (turn + 1) % gateways.count
                return pause(session, error, now: now, random: random)
            }
        }

        private mutating func pause(
            _ session: Session?,
            _ error: HawserError,
            now: Duration,
            random: Double
        ) -> Action {
            let patience = wasConnected ? settings.longestAbsence : settings.patience
            let asked = min(max(error.retryAfter ?? .zero, .zero), settings.longestRequestedPause)
            if let awaySince, now + asked - awaySince >= patience { return end(error) }
            state = .pausing(session)
            // Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so that thousands
            // of tenants don't come back together. What the server asks for comes on top.
            let bound = min(settings.longestPause, settings.firstPause * (1 << min(failures - 1, 30)))
            return .pause(bound * random + asked)
        }

        private mutating func end(_ error: HawserError) -> Action {
            state = .ended(error)
            return .stop(error)
        }

        /// What the provider has open for this machine.
        var session: Session? {
            switch state {
            case .resuming(let session), .connected(let session): session
            case .pausing(let session): session
            case .idle, .signingIn, .ended: nil
            }
        }

        private static let broken = HawserError(
            .unavailable,
            "The provider's server is stopping. Try again in some minutes.",
            isRetryable: true
        )
    }

    /// What goes on with a token when a connection has broken.
    struct Session: Hashable, Sendable, CustomStringConvertible {
        var id: ControlID
        var token: String

        var description: String { id.description }
    }

    /// How patient a connection is. The standard is what `docs/control-protocol.md` says.
    public struct Settings: Sendable {
        /// Without a line for so long the event stream is dead; the server sends one every 20 s.
        public var longestSilence = Duration.seconds(60)
        /// Between two polls: the sign of life in the other direction.
        public var pollInterval = Duration.seconds(30)
        /// The upper bound of the pause after a first failure; it doubles with each.
        public var firstPause = Duration.seconds(1)
        public var longestPause = Duration.seconds(30)
        /// How long the first session is tried for. Somebody waits for it.
        public var patience = Duration.seconds(30)
        /// How long a job goes on without the provider.
        public var longestAbsence = Duration.seconds(3600)
        /// The most that a server can ask for by `reconnect` or `retryAfter`.
        public var longestRequestedPause = Duration.seconds(300)

        public init() {}
    }
}
