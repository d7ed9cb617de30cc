public import HawserFormat
import HawserStorage
public import Logging

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The persistent connection of a machine to its provider: signs in, keeps the event stream open, polls, and comes back
/// by itself through the next gateway when it breaks. A restart of the provider's server is a pause.
///
/// It lives while `run` runs; ``withProviderConnection(_:key:purpose:subtenant:agent:settings:logger:onProfileChange:_:)`` does
/// that for the time of a scope.
public actor ProviderConnection {
    /// The server has asked to come back later.
    struct Reconnect: Error {
        var after: Double
    }

    typealias TransportMaker = @Sendable (GatewayAddress, ProviderProfile) throws -> any ControlTransport

    nonisolated let broadcast = Broadcast(ConnectionStatus())
    nonisolated let stopwatch: Stopwatch
    let settings: Settings
    let purpose: Purpose
    let subtenant: String?
    let agent: String
    let key: DeviceKey
    let logger: Logger
    private let random: @Sendable () -> Double
    private let wallClock: @Sendable () -> Double
    private let makeTransport: TransportMaker
    private let onProfileChange: @Sendable (ProviderProfile) async -> Void

    /// With the gateways and authorities that the provider named last.
    public internal(set) var profile: ProviderProfile
    private var machine: StateMachine
    private var transports: [GatewayAddress: any ControlTransport] = [:]
    /// With authorities that are no longer the newest.
    private var retired: [any ControlTransport] = []
    private(set) var link: Link?
    /// Of the last link.
    private var latest: (any ControlTransport)?
    /// When the event stream was heard last.
    private var heard = Duration.zero
    private var isRunning = false

    /// The way in use.
    struct Link: Sendable {
        var number: Int
        var session: Session
        var transport: any ControlTransport
        /// Ends the link.
        var breaker: AsyncStream<HawserError>.Continuation
    }

    /// - Parameters:
    ///   - subtenant: into whose folder, for `restore`, `check` and `prune`; `nil`: the machine's own.
    ///   - agent: name and version of the program, shown to the provider.
    ///   - onProfileChange: the provider has named other gateways or authorities: to be kept for the next time.
    public init(
        _ profile: ProviderProfile,
        key: DeviceKey,
        purpose: Purpose,
        subtenant: String? = nil,
        agent: String,
        settings: Settings = Settings(),
        logger: Logger = Logger(label: "hawser.control"),
        onProfileChange: @escaping @Sendable (ProviderProfile) async -> Void = { _ in }
    ) {
        self.init(
            profile,
            key: key,
            purpose: purpose,
            subtenant: subtenant,
            agent: agent,
            settings: settings,
            logger: logger,
            clock: ContinuousClock(),
            onProfileChange: onProfileChange
        )
    }

    init(
        _ profile: ProviderProfile,
        key: DeviceKey,
        purpose: Purpose,
        subtenant: String? = nil,
        agent: String,
        settings: Settings,
        logger: Logger,
        clock: any Clock<Duration>,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) },
        wallClock: @escaping @Sendable () -> Double = { Date.now.timeIntervalSince1970 },
        makeTransport: @escaping TransportMaker = {
            try HTTPControlTransport($0, serverName: $1.serverName, authorities: $1.authorities)
        },
        onProfileChange: @escaping @Sendable (ProviderProfile) async -> Void
    ) {
        self.profile = profile
        self.key = key
        self.purpose = purpose
        self.subtenant = subtenant
        self.agent = agent
        self.settings = settings
        self.logger = logger
        self.random = random
        self.wallClock = wallClock
        self.makeTransport = makeTransport
        self.onProfileChange = onProfileChange
        stopwatch = Stopwatch(clock)
        machine = StateMachine(gateways: profile.gateways, settings: settings)
    }

    /// First the present one.
    public nonisolated var statuses: ConnectionStatuses { ConnectionStatuses(broadcast: broadcast) }

    public nonisolated var status: ConnectionStatus { broadcast.value }

    /// By the provider's clock, as this machine's was compared with it last; this machine's before it ever was.
    public nonisolated var serverTime: Timestamp {
        let (seconds, attoseconds) = (Duration.seconds(wallClock()) + status.clockAhead).components
        return Timestamp(seconds: seconds, nanoseconds: UInt32(clamping: attoseconds / 1_000_000_000))
    }

    // MARK: Life

    /// Connects and stays connected until the task is cancelled. To be called once.
    ///
    /// - Throws: why there can be no session: `not_signed_in`, `revoked`, `tenant_disabled`, `lease_over`,
    ///   `too_many_sessions`, `maintenance`, `unsupported`; `unavailable` when the provider could not be reached for too
    ///   long; `CancellationError`.
    public func run() async throws {
        precondition(!isRunning, "A connection runs once.")
        isRunning = true
        let error: any Error
        do {
            try await live()
            error = CancellationError()
        } catch let problem {
            error = problem
        }
        let reason =
            error as? HawserError ?? HawserError(.unavailable, "The connection to the provider was closed.")
        broadcast.update { $0.phase = .ended(reason) }
        throw error
    }

    private func live() async throws {
        var action = machine.start(now: stopwatch.elapsed())
        while true {
            try Task.checkCancellation()
            switch action {
            case .signIn(let gateway):
                action = try await signIn(gateway)
            case .follow(let session, let gateway):
                action = try await follow(session, gateway)
            case .pause(let duration):
                broadcast.update { if case .connected = $0.phase { $0.phase = .away } }
                try await stopwatch.sleep(duration)
                action = machine.woke()
            case .stop(let error):
                throw error
            }
        }
    }

    private func signIn(_ gateway: GatewayAddress) async throws -> StateMachine.Action {
        do {
            let transport = try transport(gateway)
            let sent = stopwatch.elapsed()
            let answer = try await open(transport)
            guard (answer.api.min...max(answer.api.min, answer.api.max)).contains(ControlAPI.version) else {
                throw HawserError(
                    .unsupported,
                    "The provider's server speaks versions \(answer.api.min) to \(answer.api.max) of the protocol, this program "
                        + "\(ControlAPI.version): install another version."
                )
            }
            let session = Session(id: answer.session, token: answer.token)
            await adopt(answer)
            received(answer.state, sent: sent)
            logger.info("Signed in", metadata: ["session": "\(session)", "gateway": "\(gateway)"])
            return machine.signedIn(session, gateways: answer.gateways.compactMap { GatewayAddress($0) })
        } catch let error as HawserError {
            return failed(error)
        }
    }

    private func open(_ transport: any ControlTransport) async throws -> SessionAnswer {
        let nonce: NonceAnswer = try await transport.call(.post(ControlAPI.nonces))
        let signature = try key.signature(
            device: profile.device,
            nonce: nonce.nonce,
            purpose: purpose,
            domain: profile.domain,
            subtenant: subtenant
        )
        return try await transport.call(
            .post(
                ControlAPI.sessions,
                SignInRequest(
                    device: profile.device,
                    nonce: nonce.nonce,
                    signature: signature,
                    purpose: purpose,
                    agent: agent,
                    subtenant: subtenant
                )
            )
        )
    }

    /// Returns when the connection has broken.
    private func follow(_ session: Session, _ gateway: GatewayAddress) async throws -> StateMachine.Action {
        let (breaks, breaker) = AsyncStream<HawserError>.makeStream()
        defer { breaker.finish() }
        do {
            let transport = try transport(gateway)
            heard = stopwatch.elapsed()
            let number = broadcast.value.link + 1
            let link = Link(number: number, session: session, transport: transport, breaker: breaker)
            self.link = link
            latest = transport
            if case .connected = machine.state { publish(link) }
            defer { self.link = nil }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.readEvents(link) }
                group.addTask { try await self.poll(link) }
                group.addTask { try await self.watchSilence() }
                group.addTask { for await error in breaks { throw error } }
                defer { group.cancelAll() }
                // Each of them ends by an error, or because the task is cancelled.
                try await group.next()
            }
            throw CancellationError()
        } catch let error as HawserError {
            return failed(error)
        } catch let reconnect as Reconnect {
            logger.info("The provider's server stops for a while", metadata: ["session": "\(session)"])
            return machine.asked(toComeBackAfter: reconnect.after, now: stopwatch.elapsed())
        }
    }

    private func failed(_ error: HawserError) -> StateMachine.Action {
        logger.notice(
            "No connection to the provider",
            metadata: ["code": "\(error.code)", "error": "\(error.message)"]
        )
        defer { shutdownRetired() }
        return machine.failed(error, now: stopwatch.elapsed(), random: random())
    }

    private func publish(_ link: Link) {
        broadcast.update {
            $0.phase = .connected
            $0.session = link.session.id
            $0.link = link.number
        }
    }

    // MARK: Streams

    private func readEvents(_ link: Link) async throws {
        var request = ControlRequest.get(ControlAPI.events(link.session.id))
        request.token = link.session.token
        try await link.transport.follow(request) { line in try await self.received(line, on: link) }
        throw HawserError(.unavailable, "The provider's server has ended the connection.", isRetryable: true)
    }

    private func poll(_ link: Link) async throws {
        var request = ControlRequest.get(ControlAPI.session(link.session.id))
        request.token = link.session.token
        while true {
            try await stopwatch.sleep(settings.pollInterval)
            let sent = stopwatch.elapsed()
            received(try await link.transport.call(request), sent: sent)
            machine.proved()
        }
    }

    private func watchSilence() async throws {
        while true {
            let rest = heard + settings.longestSilence - stopwatch.elapsed()
            if rest <= .zero { break }
            try await stopwatch.sleep(rest)
        }
        throw HawserError(
            .unavailable,
            "The provider's server has said nothing for \(settings.longestSilence.components.seconds) s.",
            isRetryable: true
        )
    }

    private func received(_ line: Data, on link: Link) throws {
        // A line can come when its link was given up.
        guard self.link?.number == link.number else { return }
        heard = stopwatch.elapsed()
        let event: SessionEvent
        do {
            event = try JSONDecoder().decode(SessionEvent.self, from: line)
        } catch {
            throw ControlFailure.garbled("event", cause: error)
        }
        if case .resuming = machine.state {
            machine.opened(link.session)
            logger.info("Connected again", metadata: ["session": "\(link.session)"])
            publish(link)
        }
        switch event {
        case .state(let state): received(state, sent: nil)
        case .heartbeat, .unknown: break
        case .credentialsReady(let repository, let generation):
            broadcast.update {
                $0.changeRepository(repository) { $0.credentialsGeneration = max($0.credentialsGeneration, generation) }
            }
        case .changeMode(let repository, let mode):
            broadcast.update { $0.changeRepository(repository) { $0.mode = mode } }
        case .returnUnused(let repository):
            broadcast.update { $0.returnsAsked[repository, default: 0] += 1 }
        case .revoked(let problem): throw problem.error
        case .reconnect(let after): throw Reconnect(after: after)
        }
    }

    /// - Parameter sent: when it was asked for; then the clocks are compared.
    private func received(_ state: SessionState, sent: Duration?) {
        let ahead = sent.map { sent in
            // Half of the way back and forth has passed since the server looked at its clock.
            Duration(saidSeconds: state.serverTime - wallClock()) + (stopwatch.elapsed() - sent) / 2
        }
        broadcast.update {
            $0.state = state
            if let ahead { $0.clockAhead = ahead }
        }
    }

    // MARK: Ways

    private func transport(_ gateway: GatewayAddress) throws -> any ControlTransport {
        if let transport = transports[gateway] { return transport }
        let transport = try makeTransport(gateway, profile)
        transports[gateway] = transport
        return transport
    }

    /// What comes over a trusted connection is trusted: other gateways, and authorities that will sign next.
    private func adopt(_ answer: SessionAnswer) async {
        let gateways = answer.gateways.compactMap { GatewayAddress($0) }
        var changed = profile
        if !gateways.isEmpty { changed.gateways = gateways }
        if answer.authorities != profile.authorities, !answer.authorities.isEmpty,
            (try? HTTPControlTransport.certificates(answer.authorities)) != nil
        {
            changed.authorities = answer.authorities
            // Connections that are open stay; new ones are made with the new authorities.
            retired += transports.values
            transports = [:]
            logger.notice("The provider has changed his certificate authorities")
        }
        guard changed.gateways != profile.gateways || changed.authorities != profile.authorities else { return }
        profile = changed
        await onProfileChange(changed)
    }

    private func shutdownRetired() {
        let transports = retired
        retired = []
        guard !transports.isEmpty else { return }
        // Nobody waits for connections that nobody uses.
        Task { for transport in transports { await transport.shutdown() } }
    }

    /// Tells the provider that the session is over, if he can be reached at once, and closes all connections. Also while
    /// the connection is being taken up again: the provider may be back already, and the session keeps a place and bytes.
    func close() async {
        if let session = machine.session, let way = farewellWay {
            var request = ControlRequest.delete(ControlAPI.session(session.id))
            request.token = session.token
            let farewell = request
            await withTaskGroup { group in
                group.addTask { _ = try? await way.send(farewell) }
                group.addTask { try? await self.stopwatch.sleep(Self.longestFarewell) }
                await group.next()
                group.cancelAll()
            }
        }
        for transport in Array(transports.values) + retired { await transport.shutdown() }
        transports = [:]
        retired = []
    }

    private var farewellWay: (any ControlTransport)? {
        if case .connected = machine.state { return latest }
        return try? transport(machine.gateway)
    }

    /// A session that nobody closes ends by itself, and so do leases: not worth keeping somebody waiting for long.
    static let longestFarewell = Duration.seconds(15)
}
