import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserGateway
import HawserS3
import HawserStorage
import HawserTestServer
import HawserTesting
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A provider with a storage that works, a repository in gateway mode, and the gateway server `gs1`.
struct GatewayBench: Sendable {
    static let serverName = "gs1.\(ServedProvider.domain)"

    let provider: ServedProvider
    let storage: S3TestServer
    let repository: ControlID
    let gateway: ControlID
    /// Of the gateway server.
    let folder: String

    /// - Parameter direct: what tenants that need not go through the gateway server get.
    init(
        _ provider: ServedProvider,
        _ storage: S3TestServer,
        limit: Int,
        direct: AccessPermissions? = nil
    ) async throws {
        self.provider = provider
        self.storage = storage
        folder = "\(provider.folder.path)/gs1"
        var settings = RepositorySettings(mode: direct == nil ? .gateway : .direct, gatewayServers: ["gs1"])
        if let direct { settings.access = direct }
        repository = try await provider.addLive(storage, settings, limit: limit) {
            // So that what comes from tenants can be told from what comes from the gateway server.
            $0.tenantEndpoint = "http://localhost:\(storage.port)"
        }.id
        gateway = try await provider.database.addGateway("gs1", kind: .server, address: "127.0.0.1:6182").id
    }

    var authorities: [Data] {
        get async throws { try await provider.authorities() }
    }

    /// - Parameter gateway: The way to the provider's server; without one it is asked itself.
    func join(_ client: TestClient, through gateway: GatewayAddress? = nil) async throws -> GatewayMembership {
        let code = try await provider.database.addJoinCode(.gateway(self.gateway))
        provider.log.addSecret(code)
        let join = JoinString(
            domain: ServedProvider.domain,
            gateways: [try gateway ?? #require(GatewayAddress("127.0.0.1:\(client.port)"))],
            tenant: "gs1",
            authorities: try await authorities,
            code: code
        )
        return try await GatewayMembership.join(try join.text, folder: folder)
    }

    /// Runs a gateway server for the time of `body`.
    func withServer<Result: Sendable>(
        _ membership: GatewayMembership,
        _ change: (inout GatewayServer.Configuration) -> Void = { _ in },
        _ body: (_ port: Int) async throws -> Result
    ) async throws -> Result {
        var configuration = GatewayServer.Configuration()
        configuration.port = 0
        configuration.limits.bePatient()
        change(&configuration)
        let (ports, running) = AsyncStream.makeStream(of: Int.self)
        let server = try GatewayServer(configuration, membership: membership, logger: provider.log.logger) { port in
            running.yield(port)
        }
        let group = ServiceGroup(services: [server], logger: provider.log.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { running.finish() }
                try await group.run()
            }
            guard let port = await ports.first(where: { _ in true }) else {
                try await tasks.waitForAll()
                throw HawserError(.unavailable, "The server ended before it listened.")
            }
            let result: Swift.Result<Result, any Error>
            do { result = .success(try await body(port)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try result.get()
        }
    }

    /// Asks until the gateway server is connected.
    func grant(
        _ client: TestClient,
        _ session: SessionAnswer,
        _ purpose: Purpose = .backup,
        avoid: ConnectionMode? = nil
    ) async throws -> Grant {
        while true {
            let answer = try await client.post(
                ControlAPI.grants(repository),
                GrantRequest(purpose: purpose, avoid: avoid),
                token: session.token
            )
            if answer.status == 200 {
                let grant = try answer.value(Grant.self)
                provider.log.addSecret(try #require(grant.gatewayToken))
                return grant
            }
            let error = try answer.value(ControlProblem.self).error
            guard error.code == .noWay, error.isRetryable else { throw error }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @discardableResult
    func withStore<Result>(
        _ grant: Grant,
        ports: [Int],
        _ body: (GatewayStore) async throws -> Result
    ) async throws -> Result {
        let store = try GatewayStore(
            gateways: ports.compactMap { GatewayAddress("127.0.0.1:\($0)") },
            serverName: try #require(grant.gatewayServer),
            token: try #require(grant.gatewayToken),
            authorities: try await authorities,
            logger: provider.log.logger
        )
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(store)) } catch { result = .failure(error) }
        await store.shutdown()
        return try result.get()
    }

    /// As a hostile tenant speaks.
    func withRawClient<Result>(
        _ grant: Grant,
        port: Int,
        _ body: (RawTenant) async throws -> Result
    ) async throws -> Result {
        let http = TestClient.makeClient(try await authorities, serverName: Self.serverName)
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(
                try await body(RawTenant(http: http, port: port, token: try #require(grant.gatewayToken)))
            )
        } catch {
            result = .failure(error)
        }
        try await http.shutdown()
        return try result.get()
    }

    var quota: QuotaState {
        get async throws {
            try await provider.database.quota(tenant: provider.tenant, subtenant: nil, repository: repository)
        }
    }

    func stored(_ key: ObjectKey, _ grant: Grant) async throws -> [UInt8]? {
        try await storage.object(grant.folder + key.path, in: "hawser")
    }

    var storedKeys: [String] { storage.keys(in: "hawser", prefix: "") ?? [] }
}

struct RawTenant: Sendable {
    let http: HTTPClient
    let port: Int
    let token: String

    func put(_ path: String, _ bytes: [UInt8], sha256: ObjectName, token: String? = nil) async throws
        -> TestClient.Answer
    {
        var request = request("PUT", path, token)
        request.headers.add(name: GatewayAPI.sha256, value: sha256.hex)
        request.body = .bytes(ByteBuffer(bytes: bytes))
        return try await send(request)
    }

    func get(_ path: String, token: String? = nil) async throws -> TestClient.Answer {
        try await send(request("GET", path, token))
    }

    func request(_ method: String, _ path: String, _ token: String?) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: "https://\(GatewayBench.serverName):\(port)\(path)")
        request.method = .init(rawValue: method)
        request.headers.add(name: "authorization", value: "Bearer \(token ?? self.token)")
        return request
    }

    func send(_ request: HTTPClientRequest) async throws -> TestClient.Answer {
        let response = try await http.execute(request, timeout: .seconds(300))
        let body = try await response.body.collect(upTo: 8 << 20)
        return TestClient.Answer(
            status: Int(response.status.code),
            headers: response.headers,
            body: Data(body.readableBytesView)
        )
    }
}

func withGatewayServer(
    limit: Int = 1 << 30,
    _ change: (inout GatewayServer.Configuration) -> Void = { _ in },
    _ body: (GatewayBench, TestClient, _ port: Int) async throws -> Void
) async throws {
    try await withS3TestServer { storage in
        try await withProvider { provider, client in
            let bench = try await GatewayBench(provider, storage, limit: limit)
            let membership = try await bench.join(client)
            try await bench.withServer(membership, change) { try await body(bench, client, $0) }
        }
    }
}
