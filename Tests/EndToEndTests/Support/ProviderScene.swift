import Foundation
import HawserTestServer
import Synchronization
import Testing

/// A provider's server behind a cloud gateway, and a tenant's machine that has logged in, all as processes; the storage is
/// there already.
final class ProviderScene: Sendable {
    /// A bucket, and the key that the provider has for it.
    struct Storage: Sendable {
        var endpoint: String
        var bucket: String
        var accessKeyID: String
        var secret: String
    }

    /// The provider's processes.
    enum Role {
        case server, relay
        /// The gateway server `gs1`.
        case mover
        /// Another relay `g2`, and the gateway server `gs2`.
        case spareRelay, spareMover
    }

    let system: ProviderBench
    let tenant: Workbench
    let testServer: S3TestServer?
    private let processes = Mutex<[Role: RunningCommand]>([:])
    /// What those said that have ended.
    private let ended = Mutex<[CommandResult]>([])
    /// What no server may have in its log.
    let secrets: Mutex<[String]>

    /// Options of `storage add` for a repository whose data goes through the gateway server.
    static let gatewayMode = ["--mode", "gateway", "--gateway-server", "gs1"]

    private init(_ system: ProviderBench, _ tenant: Workbench, _ testServer: S3TestServer?, secret: String) {
        self.system = system
        self.tenant = tenant
        self.testServer = testServer
        secrets = Mutex([secret])
    }

    /// Where it is the test server.
    var storage: S3TestServer {
        guard let testServer else { fatalError("This scene has another storage.") }
        return testServer
    }

    /// With the test server as its storage.
    ///
    /// - Parameters:
    ///   - access: options of `storage add`.
    ///   - kind: of the storage.
    ///   - hasGatewayServer: whether there is `gs1`.
    ///   - spare: what there is two of.
    ///   - configuration: of the test server.
    ///   - knowsLocalhost: whether tenants know the storage as `localhost`, so that what comes from them can be told from
    ///     what comes from the provider's servers.
    static func run(
        _ access: [String],
        kind: String = "compatible",
        hasGatewayServer: Bool = false,
        spare: Role? = nil,
        configuration: S3TestServer.Configuration = .init(),
        knowsLocalhost: Bool = false,
        _ body: (ProviderScene) async throws -> Void
    ) async throws {
        try await withS3TestServer(configuration) { server in
            let access = access + (knowsLocalhost ? ["--tenant-endpoint", "http://localhost:\(server.port)"] : [])
            let user = S3TestServer.Configuration.User.test
            let storage = Storage(
                endpoint: server.endpoint,
                bucket: "hawser",
                accessKeyID: user.accessKeyID,
                secret: user.secretAccessKey
            )
            try await run(
                at: storage,
                access,
                kind: kind,
                hasGatewayServer: hasGatewayServer,
                spare: spare,
                testServer: server,
                body
            )
        }
    }

    static func run(
        at storage: Storage,
        _ access: [String],
        kind: String = "compatible",
        hasGatewayServer: Bool = false,
        spare: Role? = nil,
        testServer: S3TestServer? = nil,
        _ body: (ProviderScene) async throws -> Void
    ) async throws {
        let system = try ProviderBench()
        let settings = try TemporaryDirectory()
        let tenant = try Workbench(
            repository: "provider:office",
            variables: ["XDG_CONFIG_HOME": settings.path, "AWS_EC2_METADATA_DISABLED": "true"]
        )
        try await system.provider("init", "--domain", "backup.example")
        try await system.provider(
            arguments: [
                "storage", "add", "main", "--kind", kind, "--addressing", "path", "--endpoint", storage.endpoint,
                "--bucket", storage.bucket, "--access-key", storage.accessKeyID, "--secret-file", "-",
            ] + access,
            input: Data("\(storage.secret)\n".utf8)
        )
        var relays = ["g1": system.gatewayPort]
        if spare == .spareRelay { relays["g2"] = system.spareGatewayPort }
        for (name, port) in relays {
            try await system.provider("gateway", "add", name, "--kind", "relay", "--address", "127.0.0.1:\(port)")
        }
        try await system.provider("tenant", "add", "acme")
        try await system.provider("quota", "set", "acme", "main", "500M")
        let scene = ProviderScene(system, tenant, testServer, secret: storage.secret)
        defer { for process in scene.processes.withLock({ $0.values }) { process.send(SIGKILL) } }
        do {
            try await scene.start(.server)
            try await scene.start(.relay)
            if spare == .spareRelay { try await scene.start(.spareRelay) }
            if hasGatewayServer { try await scene.joinGatewayServer() }
            if spare == .spareMover { try await scene.joinGatewayServer(.spareMover) }
            let code = try await system.provider("tenant", "join-code", "acme", "--json")
            let join = try scene.joinString(code)
            try await tenant.hawser("login", join, "--name", "office", "--device", "laptop").expect(0)
            try await body(scene)
        } catch {
            for result in try await scene.endAll() { print(result) }
            throw error
        }
        let results = try await scene.endAll()
        try scene.addSecretsOfFiles()
        for result in results {
            if result.end != .signal(SIGKILL) { result.expect(0) }
            // The provider learns nothing, and tells nothing of what he knows.
            #expect(!scene.isSecret(in: result.allText) && !result.allText.contains("file-"))
            #expect(!scene.hasSecretOfRequests(result.allText) && !ProviderScene.hasToken(result.allText))
        }
    }

    func joinGatewayServer(_ role: Role = .mover) async throws {
        let (name, port) =
            role == .spareMover ? ("gs2", system.spareGatewayServerPort) : ("gs1", system.gatewayServerPort)
        let added = try await system.provider(
            arguments: ["gateway", "add", name, "--kind", "server", "--address", "127.0.0.1:\(port)", "--json"]
        )
        try await system.join(try joinString(added), name).expect(0)
        try await start(role)
    }

    // MARK: Processes

    /// Until it takes connections.
    func start(_ role: Role) async throws {
        let (process, port) =
            switch role {
            case .server: (try system.startServer(), system.serverPort)
            case .relay: (try system.startGateway(), system.gatewayPort)
            case .mover: (try system.startGatewayServer(), system.gatewayServerPort)
            case .spareRelay: (try system.startGateway(port: system.spareGatewayPort), system.spareGatewayPort)
            case .spareMover:
                (
                    try system.startGatewayServer("gs2", port: system.spareGatewayServerPort),
                    system.spareGatewayServerPort
                )
            }
        processes.withLock { $0[role] = process }
        try await system.wait(for: [port], of: process)
    }

    func processIdentifier(_ role: Role) -> pid_t? { processes.withLock { $0[role]?.processIdentifier } }

    /// What one that runs has said up to now.
    func log(_ role: Role) throws -> String {
        try processes.withLock { $0[role] }?.errors() ?? ""
    }

    /// Until it has ended.
    func end(_ role: Role, _ signal: Int32) async throws {
        guard let process = processes.withLock({ $0.removeValue(forKey: role) }) else { return }
        process.send(signal)
        let result = try await process.result()
        ended.withLock { $0.append(result) }
    }

    /// - Returns: what all that ever ran said.
    @discardableResult
    func endAll() async throws -> [CommandResult] {
        // In an order in which each can say goodbye to the next.
        for role in [Role.mover, .spareMover, .server, .relay, .spareRelay] { try await end(role, SIGTERM) }
        return ended.withLock { $0 }
    }

    // MARK: Work

    /// Makes a repository, backs up twice, checks, restores and compares; removes a snapshot and prunes.
    func workDay() async throws {
        try await tenant.hawser("init").expect(0)
        for index in 0..<40 {
            let bytes = Data((0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* (index + 3) ^ $0 >> 7) })
            try bytes.write(to: URL(filePath: tenant.source + "/file-\(index)"))
        }
        let first = try await tenant.backup()
        try Data("changed".utf8).write(to: URL(filePath: tenant.source + "/file-1"))
        try await tenant.backup()
        let check = try await tenant.hawser("check", "--read-data")
        check.expect(0)
        try await tenant.restore("latest", to: "target").expect(0)
        try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
        try await tenant.hawser("forget", first.snapshot, "--prune").expect(0)
        #expect(try await tenant.snapshots().count == 1)
        try await tenant.hawser("key", "list").expect(0)
    }

    /// Bytes of all tenants' objects at the storage.
    func stored() async throws -> Int {
        var bytes = storage.bytesStored
        for key in storage.keys(in: "hawser") ?? [] where key.hasSuffix("/repository.json") {
            bytes -= try await storage.object(key, in: "hawser")?.count ?? 0
        }
        return bytes
    }

    /// Bytes, as the tenant is told.
    func used() async throws -> Int {
        let quota = try await tenant.hawser("quota", "--json")
        quota.expect(0)
        let repositories = try #require(quota.message("quota")?["repositories"] as? [[String: Any]], "\(quota)")
        return try #require(repositories.first?["used"] as? Int)
    }

    /// Bytes, as the provider's books have them.
    func ledger() async throws -> (used: Int, reserved: Int) {
        let quota = try await system.provider("quota", "show", "acme", "--json")
        let folder = try #require(quota.objects.first?["folder"] as? [String: Any], "\(quota)")
        return (try #require(folder["committed"] as? Int), try #require(folder["reserved"] as? Int))
    }
}

/// For tests of what other programs get.
extension ProviderScene {
    /// Options of a storage with temporary credentials; `storage check` is not done yet.
    static func exporting(_ allowed: String) -> [String] {
        ["--access", "sts", "--sts-role", "arn:aws:iam::1:role/tenants", "--credential-export", allowed]
    }

    /// A repository with one snapshot of one file.
    func backUp(_ name: String) async throws {
        try await system.provider("storage", "check", "main")
        try await tenant.hawser("init").expect(0)
        try Data(name.utf8).write(to: URL(filePath: tenant.source + "/" + name))
        try await tenant.backup()
    }

    /// The tenant's, while nobody else has stored anything but in `neighbour`.
    func folder() throws -> String {
        let keys = try #require(storage.keys(in: "hawser"))
        let key = try #require(keys.first { !$0.hasSuffix("neighbours") })
        return key.split(separator: "/").prefix(2).joined(separator: "/") + "/"
    }

    /// A folder of the same repository that is not the tenant's, with an object.
    func neighbour() async throws -> String {
        let repository = try #require(try folder().split(separator: "/").first)
        let folder = "\(repository)/0123456789abcdef0123456789abcdef/"
        try await storage.store(folder + "neighbours", Array("secret".utf8), in: "hawser")
        return folder
    }
}
