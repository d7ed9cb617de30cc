import Crypto
import Foundation
import HawserFormat
import HawserTesting
import Synchronization

@testable import HawserControl

/// The provider's server and its gateways in memory: what the protocol says, and faults by script.
final class FakeProvider: Sendable {
    struct Lease: Sendable {
        var bytes: Int
        var used: Int?
    }

    struct State {
        /// Gateways that can't be reached.
        var dead: Set<String> = []
        /// The next requests of a path fail: before the server has done anything, or after (the answer is lost).
        var faults: [(path: String, fault: Fault)] = []
        var nonces: Set<Data> = []
        var sessions: [String: ControlID] = [:]
        var streams: [UUID: AsyncStream<StreamPart>.Continuation] = [:]
        /// For the next stream.
        var waiting: [StreamPart] = []
        var leases: [ControlID: Lease] = [:]
        var objects: [String: Int] = [:]
        var snapshots: [String] = []
        var requests: [String] = []
        var asks: [LeaseRequest] = []
        var closed: [ControlID] = []
        var quota = QuotaState(limit: nil, used: 0, reserved: 0)
        var gateways: [String] = []
        var authorities: [Data] = []
        var time = 1_000.0
    }

    enum Fault: Sendable {
        case lost
        case answerLost
        case problem(ControlProblem)
        /// Waits there before it goes on.
        case held(Gate)
    }

    enum StreamPart: Sendable {
        case event(SessionEvent)
        case line(String)
        case broken(HawserError)
    }

    let state: Mutex<State>
    let publicKey: Data
    let device = ControlID.random()
    let repository = ControlID.random()
    static let domain = "backup.example.com"
    static let broken = HawserError(.unavailable, "The connection broke.", isRetryable: true)

    init(publicKey: Data, gateways: [String] = ["gw1:6180", "gw2:6180"]) {
        self.publicKey = publicKey
        var state = State()
        state.gateways = gateways
        self.state = Mutex(state)
    }

    // MARK: Script

    func fail(_ path: String, _ fault: Fault) { state.withLock { $0.faults.append((path, fault)) } }
    var allFired: Bool { state.withLock { $0.faults.isEmpty } }

    func send(_ event: SessionEvent) { send(.event(event)) }
    func send(line: String) { send(.line(line)) }
    func breakStreams() { send(.broken(Self.broken)) }

    /// A session is there before its stream is: then the stream begins with it.
    private func send(_ part: StreamPart) {
        state.withLock { state in
            if state.streams.isEmpty { state.waiting.append(part) }
            for stream in state.streams.values { stream.yield(part) }
        }
    }

    var sessionState: SessionState {
        state.withLock { state in
            SessionState(
                serverTime: state.time,
                lease: LeaseState(isEnabled: true, expiresIn: nil),
                repositories: [
                    RepositoryState(
                        repository: repository,
                        name: "main",
                        quota: state.quota,
                        mode: .direct,
                        credentialsGeneration: 1
                    )
                ]
            )
        }
    }

    func count(_ path: String) -> Int { state.withLock { $0.requests.count { $0 == path } } }

    // MARK: Server

    fileprivate func arrive(_ request: ControlRequest, at gateway: String) async throws -> Fault? {
        let fault = try state.withLock { state -> Fault? in
            let path = Self.generic(request)
            guard !state.dead.contains(gateway) else {
                state.requests.append("dead " + gateway)
                throw Self.broken
            }
            state.requests.append(path)
            guard let index = state.faults.firstIndex(where: { $0.path == path }) else { return nil }
            return state.faults.remove(at: index).fault
        }
        switch fault {
        case .lost: throw Self.broken
        case .problem(let problem): throw problem.error
        case .held(let gate): try await gate.pass()
        case .answerLost, nil: break
        }
        return fault
    }

    /// Without ids.
    private static func generic(_ request: ControlRequest) -> String {
        let parts = request.path.split(separator: "/").map { ControlID($0) == nil ? String($0) : "*" }
        return request.method.rawValue + " /" + parts.joined(separator: "/")
    }

    fileprivate func answer(_ request: ControlRequest) throws -> any Encodable & Sendable {
        let path = Self.generic(request)
        if path == "POST /v1/nonces" {
            let nonce = Data(SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) })
            state.withLock { _ = $0.nonces.insert(nonce) }
            return NonceAnswer(nonce: nonce, expiresIn: 60)
        }
        if path == "POST /v1/sessions" { return try signIn(decode(request)) }
        if path == "POST /v1/devices" {
            let registration: RegistrationRequest = try decode(request)
            guard registration.code == "good" else { throw ControlProblem(.notSignedIn, "no").error }
            return RegistrationAnswer(device: device, tenant: "Muster", subtenant: nil)
        }
        guard let session = state.withLock({ $0.sessions[request.token ?? ""] }) else {
            throw ControlProblem(.sessionOver, "over").error
        }
        switch path {
        case "GET /v1/sessions/*": return sessionState
        case "DELETE /v1/sessions/*":
            state.withLock { $0.closed.append(session) }
            if !state.withLock({ $0.streams.isEmpty }) {
                send(.revoked(ControlProblem(.sessionOver, "The session was closed.")))
            }
            return true
        case "GET /v1/sessions": return SessionList(sessions: [])
        case "POST /v1/repositories/*/leases": return try lease(decode(request))
        case "POST /v1/repositories/*/commits":
            let commit: CommitRequest = try decode(request)
            return state.withLock { state in
                for object in commit.objects { state.objects[object.key] = object.length }
                if let snapshot = commit.snapshot { state.snapshots.append(snapshot) }
                return CommitAnswer(quota: state.quota, receivedAt: state.time)
            }
        default: throw ControlProblem(.notFound, path).error
        }
    }

    private func signIn(_ request: SignInRequest) throws -> SessionAnswer {
        let signed = SignInRequest.signedBytes(
            device: request.device,
            nonce: request.nonce,
            purpose: request.purpose,
            domain: Self.domain
        )
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
        let isKnown = state.withLock { $0.nonces.remove(request.nonce) != nil }
        guard isKnown, request.device == device, key.isValidSignature(request.signature, for: signed) else {
            throw ControlProblem(.notSignedIn, "no").error
        }
        let token = UUID().uuidString
        let id = ControlID.random()
        let (gateways, authorities) = state.withLock { state in
            state.sessions[token] = id
            return (state.gateways, state.authorities)
        }
        return SessionAnswer(
            session: id,
            token: token,
            api: .init(min: 1, max: 1),
            state: sessionState,
            gateways: gateways,
            authorities: authorities
        )
    }

    /// Exactly what is asked for, while there is room.
    private func lease(_ request: LeaseRequest) throws -> LeaseAnswer {
        try state.withLock { state in
            state.asks.append(request)
            for settlement in request.settled {
                guard let lease = state.leases[settlement.lease], lease.used == nil else { continue }
                state.leases[settlement.lease]?.used = settlement.used
                state.quota.reserved -= lease.bytes
                state.quota.used += settlement.used
            }
            if let id = request.lease, state.leases[id] == nil {
                if let free = state.quota.free, free < request.bytes {
                    throw ControlProblem(.quotaExceeded, "full").error
                }
                state.leases[id] = Lease(bytes: request.bytes)
                state.quota.reserved += request.bytes
            }
            return LeaseAnswer(
                lease: request.lease,
                bytes: request.lease == nil ? 0 : request.bytes,
                expiresIn: 900,
                quota: state.quota
            )
        }
    }

    private func decode<Value: Decodable>(_ request: ControlRequest) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: request.body ?? Data())
        } catch {
            throw ControlProblem(.invalidArgument, "\(error)").error
        }
    }

    // MARK: Gateways

    private struct Way: ControlTransport {
        let provider: FakeProvider
        let gateway: String

        func send(_ request: ControlRequest) async throws -> Data {
            let fault = try await provider.arrive(request, at: gateway)
            let answer = try provider.answer(request)
            if case .answerLost = fault { throw FakeProvider.broken }
            // Who still follows the session hears of its end before who ended it has the answer.
            while request.method == .delete, !provider.state.withLock({ $0.streams.isEmpty }) {
                try Task.checkCancellation()
                await Task.yield()
            }
            return try JSONEncoder().encode(answer)
        }

        func follow(_ request: ControlRequest, onLine: @Sendable (Data) async throws -> Void) async throws {
            _ = try await provider.arrive(request, at: gateway)
            guard provider.state.withLock({ $0.sessions[request.token ?? ""] }) != nil else {
                throw ControlProblem(.sessionOver, "over").error
            }
            let (parts, continuation) = AsyncStream<StreamPart>.makeStream()
            let id = UUID()
            continuation.yield(.event(.state(provider.sessionState)))
            provider.state.withLock { state in
                for part in state.waiting { continuation.yield(part) }
                state.waiting = []
                state.streams[id] = continuation
            }
            defer { provider.state.withLock { _ = $0.streams.removeValue(forKey: id) } }
            for await part in parts {
                switch part {
                case .event(let event): try await onLine(JSONEncoder().encode(event))
                case .line(let line): try await onLine(Data(line.utf8))
                case .broken(let error): throw error
                }
            }
            try Task.checkCancellation()
        }

        func shutdown() async {}
    }

    func transport(_ gateway: GatewayAddress) -> any ControlTransport {
        Way(provider: self, gateway: gateway.description)
    }
}
