import AsyncHTTPClient
import Crypto
import HTTPTypes
import HawserControl
import HawserFormat
import NIOCore
import NIOHTTP1
import NIOSSL
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Speaks the control protocol by hand, as a hostile client can.
struct TestClient: Sendable {
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: Data

        func value<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
            try JSONDecoder().decode(type, from: body)
        }

        /// The code of a problem; `nil` when the answer is none.
        var code: String? { try? value(ControlProblem.self).code }
    }

    struct Device: Sendable {
        let id: ControlID
        let key: Curve25519.Signing.PrivateKey
    }

    let provider: ServedProvider
    let port: Int
    /// Asks the server to stop gracefully.
    let stop: @Sendable () async -> Void
    let http: HTTPClient

    init(_ provider: ServedProvider, port: Int, authorities: [Data], stop: @escaping @Sendable () async -> Void) {
        self.provider = provider
        self.port = port
        self.stop = stop
        http = Self.makeClient(authorities)
    }

    static func makeClient(_ authorities: [Data], serverName: String = Self.serverName) -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        tls.trustRoots = .certificates(
            authorities.compactMap { try? NIOSSLCertificate(bytes: Array($0), format: .der) }
        )
        configuration.tlsConfiguration = tls
        configuration.dnsOverride = [serverName: "127.0.0.1"]
        configuration.timeout.connect = .seconds(30)
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    static let serverName = "control." + ServedProvider.domain

    func shutdown() async throws { try await http.shutdown() }

    // MARK: Requests

    func request(_ method: HTTPMethod, _ path: String, token: String? = nil, body: Data? = nil) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: "https://\(Self.serverName):\(port)\(path)")
        request.method = method
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        return request
    }

    func send(_ request: HTTPClientRequest) async throws -> Answer {
        let response = try await http.execute(request, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 8 << 20)
        for signature in String(buffer: body).matches(of: /X-Amz-Signature=([0-9a-f]{64})/) {
            provider.log.addSecret(String(signature.output.1))
        }
        let answer = Answer(
            status: Int(response.status.code),
            headers: response.headers,
            body: Data(body.readableBytesView)
        )
        let problems = try APIDocument.shared.get().problems(
            status: answer.status,
            body: answer.body,
            of: operation(request)
        )
        #expect(problems == [])
        return answer
    }

    private func operation(_ request: HTTPClientRequest) -> ControlOperation? {
        let target = request.url.drop { $0 != ":" }.dropFirst(3).drop { $0 != "/" }
        guard let method = HTTPRequest.Method(rawValue: request.method.rawValue) else { return nil }
        return ControlRoute(method: method, target: String(target)).operation
    }

    func send(_ method: HTTPMethod, _ path: String, token: String? = nil, body: Data? = nil) async throws -> Answer {
        try await send(request(method, path, token: token, body: body))
    }

    func post(_ path: String, _ value: some Encodable, token: String? = nil) async throws -> Answer {
        let body = try JSONEncoder().encode(value)
        let answer = try await send(.POST, path, token: token, body: body)
        if answer.status < 300, let operation = ControlRoute(method: .post, target: path).operation {
            #expect(try APIDocument.shared.get().problems(request: body, of: operation) == [])
        }
        return answer
    }

    // MARK: A machine of the tenant's

    func join() async throws -> JoinString {
        let code = try await provider.database.addJoinCode(.device(tenant: provider.tenant, subtenant: nil))
        provider.log.addSecret(code)
        return JoinString(
            domain: ServedProvider.domain,
            gateways: [try #require(GatewayAddress("127.0.0.1:\(port)"))],
            tenant: "acme",
            authorities: try await provider.authorities(),
            code: code
        )
    }

    func logIn(as name: String = "acme") async throws -> (ProviderProfile, DeviceKey) {
        let join = try JoinString(parsing: try await join().text)
        let folder = ProfileFolder(provider.folder.path + "/profiles")
        _ = try await Registration(join).register(as: name, in: folder, device: "laptop", environment: { _ in nil })
        let profile = try folder.read(name)
        return (profile, try await profile.key.deviceKey(environment: { _ in nil }))
    }

    // MARK: Signing in

    func register(tenant: ControlID? = nil, subtenant: ControlID? = nil) async throws -> Device {
        let code = try await provider.database.addJoinCode(
            .device(tenant: tenant ?? provider.tenant, subtenant: subtenant)
        )
        provider.log.addSecret(code)
        let key = Curve25519.Signing.PrivateKey()
        provider.log.addSecret(key.rawRepresentation.base64EncodedString())
        let request = RegistrationRequest(code: code, publicKey: key.publicKey.rawRepresentation, name: "laptop")
        let answer = try await post(ControlAPI.devices, request)
        #expect(answer.status == 200)
        return Device(id: try answer.value(RegistrationAnswer.self).device, key: key)
    }

    func nonce() async throws -> Data {
        try await send(.POST, ControlAPI.nonces).value(NonceAnswer.self).nonce
    }

    func signInRequest(
        _ device: Device,
        nonce: Data,
        purpose: Purpose = .backup,
        domain: String = ServedProvider.domain,
        subtenant: String? = nil
    ) throws -> SignInRequest {
        let bytes = SignInRequest.signedBytes(
            device: device.id,
            nonce: nonce,
            purpose: purpose,
            domain: domain,
            subtenant: subtenant
        )
        return SignInRequest(
            device: device.id,
            nonce: nonce,
            signature: try device.key.signature(for: bytes),
            purpose: purpose,
            agent: "test/1",
            subtenant: subtenant
        )
    }

    func signIn(
        _ device: Device,
        purpose: Purpose = .backup,
        subtenant: String? = nil
    ) async throws -> SessionAnswer {
        let request = try signInRequest(device, nonce: try await nonce(), purpose: purpose, subtenant: subtenant)
        let answer = try await post(ControlAPI.sessions, request)
        guard answer.status == 200 else { throw try answer.value(ControlProblem.self).error }
        let session = try answer.value(SessionAnswer.self)
        provider.log.addSecret(session.token)
        return session
    }

    /// Of a new device of the tenant.
    func signIn(purpose: Purpose = .backup) async throws -> SessionAnswer {
        try await signIn(try await register(), purpose: purpose)
    }

    // MARK: Events

    func withEvents<Result: Sendable>(
        of session: SessionAnswer,
        _ body: (inout EventReader) async throws -> Result
    ) async throws -> Result {
        try await withStream(ControlAPI.events(session.session), token: session.token) { events async throws in
            var reader = EventReader(events: events)
            return try await body(&reader)
        }
    }

    func withStream<Event: Decodable & Sendable, Result: Sendable>(
        _ path: String,
        token: String,
        _ body: (inout AsyncThrowingStream<Event, any Error>.Iterator) async throws -> Result
    ) async throws -> Result {
        let request = request(.GET, path, token: token)
        let response = try await http.execute(request, timeout: .seconds(60))
        #expect(response.status == .ok)
        #expect(response.headers.first(name: "content-type") == "application/x-ndjson")
        let operation = try #require(ControlRoute(method: .get, target: path).operation)
        let document = try APIDocument.shared.get()
        let (events, event) = AsyncThrowingStream.makeStream(of: Event.self)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    var held = Data()
                    for try await part in response.body {
                        held.append(contentsOf: part.readableBytesView)
                        while let end = held.firstIndex(of: UInt8(ascii: "\n")) {
                            #expect(document.problems(line: Data(held[..<end]), of: operation) == [])
                            event.yield(try JSONDecoder().decode(Event.self, from: held[..<end]))
                            held = Data(held[(end + 1)...])
                        }
                    }
                    event.finish()
                } catch {
                    event.finish(throwing: error)
                }
            }
            defer { group.cancelAll() }
            var iterator = events.makeAsyncIterator()
            return try await body(&iterator)
        }
    }
}

/// The lines of an event stream.
struct EventReader {
    fileprivate var events: AsyncThrowingStream<SessionEvent, any Error>.Iterator

    /// `nil` when the stream has ended as a whole.
    mutating func next() async throws -> SessionEvent? {
        try await events.next(isolation: #isolation)
    }

    /// The next that is the wanted one; others are skipped.
    mutating func next<Value>(_ wanted: (SessionEvent) -> Value?) async throws -> Value {
        while let event = try await next() {
            if let value = wanted(event) { return value }
        }
        throw HawserError(.unavailable, "The stream ended before the event came.")
    }

    mutating func nextState() async throws -> SessionState { try await nextState { _ in true } }

    /// States that came of earlier changes are passed over.
    mutating func nextState(_ isWanted: (SessionState) -> Bool) async throws -> SessionState {
        try await next { if case .state(let state) = $0, isWanted(state) { state } else { nil } }
    }

    /// The generation of the next credentials that are ready.
    mutating func nextCredentials() async throws -> Int {
        try await next { if case .credentialsReady(_, let generation) = $0 { generation } else { nil } }
    }
}
