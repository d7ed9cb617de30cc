import HawserControl
import HawserFormat
import HawserStorage
import Logging
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A gateway's way to the provider's server: signs in when that is needed, through whichever cloud gateway
/// answers.
final class ProviderLink: Sendable {
    private struct State {
        var membership: GatewayMembership
        var transports: [HTTPControlTransport]
        var current = 0
        var token: String?
        var heard: ContinuousClock.Instant?
    }

    // Three heartbeats: after that nobody knows whether sessions still live, and nothing new is written.
    private static let silence = Duration.seconds(60)
    private static let longestPause = 15.0
    // Some 50,000 movers.
    private static let longestLine = 16 << 20

    private let folder: String?
    private let logger: Logger
    private let state: Mutex<State>
    private let signingIn = AsyncSemaphore(total: 1)

    /// - Parameter folder: where the membership is kept up to date.
    init(_ membership: GatewayMembership, folder: String?, logger: Logger) throws {
        self.folder = folder
        self.logger = logger
        state = Mutex(State(membership: membership, transports: try Self.transports(membership)))
    }

    private static func transports(_ membership: GatewayMembership) throws -> [HTTPControlTransport] {
        try membership.ways.compactMap { GatewayAddress($0) }.map {
            try HTTPControlTransport(
                $0,
                serverName: "control.\(membership.domain)",
                authorities: membership.authorities,
                longestLine: longestLine
            )
        }
    }

    /// Whether the event stream is alive.
    var isConnected: Bool {
        state.withLock { $0.heard.map { .now - $0 < Self.silence } ?? false }
    }

    // MARK: Requests

    /// Signs in anew, once, when the provider's server does not know the token (any more).
    func call<Answer: Decodable & Sendable>(
        _ request: ControlRequest,
        as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        var request = request
        let token = try await token(other: nil)
        request.token = token
        do {
            return try await send(request)
        } catch let error as HawserError where error.code == .notSignedIn {
            request.token = try await self.token(other: token)
            return try await send(request)
        }
    }

    /// A request whose answer says nothing.
    func tell(_ request: ControlRequest) async throws {
        var request = request
        request.token = try await token(other: nil)
        let transport = state.withLock { $0.transports.isEmpty ? nil : $0.transports[$0.current] }
        _ = try await transport?.send(request)
    }

    private func send<Answer: Decodable>(_ request: ControlRequest) async throws -> Answer {
        let (transports, first) = state.withLock { ($0.transports, $0.current) }
        var failure = HawserError(.unavailable, "There is no gateway to reach the provider's server through.")
        for offset in transports.indices {
            let index = (first + offset) % transports.count
            do {
                let answer = try await transports[index].call(request, as: Answer.self)
                state.withLock { state in
                    // The list may be another one by now.
                    if let place = state.transports.firstIndex(where: { $0 === transports[index] }) {
                        state.current = place
                    }
                }
                return answer
            } catch let error as HawserError where error.code == .unavailable && error.isRetryable {
                failure = error
            }
        }
        throw failure
    }

    private func token(other refused: String?) async throws -> String {
        try await signingIn.withTaken {
            let (known, membership) = self.state.withLock { ($0.token, $0.membership) }
            if let known, known != refused { return known }
            let nonce: NonceAnswer = try await self.send(try ControlRequest.post(ControlAPI.nonces))
            let answer: GatewaySignInAnswer = try await self.send(
                try ControlRequest.post(GatewayServerAPI.sessions, try membership.signIn(nonce: nonce.nonce))
            )
            self.state.withLock { $0.token = answer.token }
            self.adopt { $0.authorities = answer.authorities }
            return answer.token
        }
    }

    /// Authorities and cloud gateways are told over a connection that a known authority vouches for.
    private func adopt(_ change: (inout GatewayMembership) -> Void) {
        do {
            let changed: GatewayMembership? = try state.withLock { state in
                var new = state.membership
                change(&new)
                guard !new.authorities.isEmpty else { return nil }
                let isSame = new.authorities == state.membership.authorities && new.ways == state.membership.ways
                if !isSame { (state.transports, state.current) = (try Self.transports(new), 0) }
                state.membership = new
                return isSame ? nil : new
            }
            guard let changed else { return }
            logger.notice(
                "The ways to the provider's server have changed",
                metadata: ["gateways": "\(changed.ways.count)", "authorities": "\(changed.authorities.count)"]
            )
            if let folder { try changed.save(folder) }
        } catch {
            logger.error("The ways to the provider's server can't be kept", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Events

    /// Follows the event stream until cancelled, and comes back whenever it ends.
    func run(onEvent: @Sendable (MoverEvent) async -> Void) async {
        let failures = Mutex(0)
        while !Task.isCancelled {
            let pause = Mutex<Double?>(nil)
            do {
                try await follow { event in
                    failures.withLock { $0 = 0 }
                    if case .reconnect(let after) = event { pause.withLock { $0 = min(max(after, 0), 60) } }
                    if case .gateways(let addresses) = event { self.adopt { $0.told = addresses } }
                    await onEvent(event)
                }
            } catch is CancellationError {
                return
            } catch let error as HawserError where error.code == .notSignedIn {
                state.withLock { $0.token = nil }
                logger.error("The provider's server refuses this gateway", metadata: ["error": "\(error)"])
                // It was removed, so it has no movers.
                await onEvent(.movers([]))
            } catch {
                logger.warning("The connection to the provider's server is lost", metadata: ["error": "\(error)"])
                state.withLock { state in
                    if !state.transports.isEmpty { state.current = (state.current + 1) % state.transports.count }
                }
            }
            let count = failures.withLock { count in
                count = min(count + 1, 10)
                return count
            }
            let backoff = min(0.25 * Double(1 << count), Self.longestPause) * Double.random(in: 0.5...1)
            try? await Task.sleep(for: .seconds(pause.withLock { $0 } ?? backoff))
        }
    }

    private func follow(_ onEvent: @Sendable (MoverEvent) async -> Void) async throws {
        var request = ControlRequest.get(GatewayServerAPI.events)
        let token = try await token(other: nil)
        request.token = token
        let transport = state.withLock { $0.transports.isEmpty ? nil : $0.transports[$0.current] }
        guard let transport else { throw HawserError(.invalidArgument, "The membership names no gateway.") }
        do {
            try await transport.follow(request) { line in
                self.state.withLock { $0.heard = .now }
                guard let event = try? JSONDecoder().decode(MoverEvent.self, from: line) else {
                    throw HawserError(.unavailable, "The provider's server sent an event that is none.")
                }
                await onEvent(event)
            }
        } catch let error as HawserError where error.code == .notSignedIn {
            // Of a server that was restarted: the next sign-in tells whether it still knows this one.
            _ = try await self.token(other: token)
        }
    }

    func shutdown() async {
        for transport in state.withLock({ $0.transports }) { await transport.shutdown() }
    }
}
