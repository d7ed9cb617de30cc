// A whole service provider in one process: storage, backup server, gateway server, and the cloud gateway with the one port
// that tenants need. A tenant backs up a folder through it, the provider moves the repository to direct mode, and the
// tenant's next backup goes straight into the storage.
//
//     swift run GatewayModeBackup ~/Documents /tmp/restored
import Foundation
import Hawser
import HawserGateway
import HawserNetwork
import HawserProvider
import HawserTestServer
import Logging
import NIOCore
import NIOPosix

tuneProcess()
let (folder, target) = (CommandLine.arguments[1], CommandLine.arguments[2])
let password = Secret("correct horse battery staple")
let quiet = Logger(label: "example", factory: { _ in SwiftLogNoOpLogHandler() })

/// What a provider does once: a storage whose data goes through the gateway server `gs1`, a tenant, a quota.
func setUp(_ provider: ProviderFolder, _ storage: S3TestServer) async throws -> ConfigurationDatabase {
    let database = try await provider.initialize()
    try await database.makeCertificates(domain: "backup.example")
    let settings = StorageSettings(
        kind: .compatible,
        endpoint: storage.endpoint,
        bucket: "hawser",
        accessKeyID: "AKTEST"
    )
    let record = try await database.addStorage("main", settings, secret: Secret(Array("hawser/test+secret".utf8)))
    let gated = RepositorySettings(mode: .gateway, gatewayServers: ["gs1"])
    let repository = try await database.addRepository("main", storage: record.id, gated)
    let tenant = try await database.addTenant("acme")
    _ = try await database.setQuota(tenant: tenant.id, repository: repository.id, limit: 1 << 40)
    return database
}

/// Starts the provider's three servers behind one port, and returns what his commands work on.
func start(
    _ database: ConfigurationDatabase,
    _ provider: ProviderFolder,
    in group: inout ThrowingTaskGroup<Void, any Error>
) async throws -> AdminService {
    func port(_ start: (AsyncStream<Int>.Continuation) throws -> Void) async throws -> Int {
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        try start(listening)
        guard let port = await ports.first(where: { _ in true }) else { throw CancellationError() }
        return port
    }
    func routes(control: Int, data: Int) throws -> RelayRoutes {
        try RelayRoutes(
            yaml: """
                routes:
                  - {names: [control.backup.example], backends: ["127.0.0.1:\(control)"]}
                  - {names: [gs1.backup.example], backends: ["127.0.0.1:\(data)"]}
                """
        )
    }
    // Who may say in a PROXY header where a connection comes from.
    let relays = [AddressBlock("127.0.0.1")].compactMap(\.self)
    var configuration = ProviderServer.Configuration(domain: "backup.example")
    configuration.port = 0
    configuration.relays = relays
    let control = try await port { listening in
        let server = ProviderServer(configuration, database: database, logger: quiet) { listening.yield($0) }
        group.addTask { try await server.run() }
    }
    let (gateways, made) = AsyncStream.makeStream(of: CloudGateway.self)
    let open = try await port { listening in
        let gateway = CloudGateway(
            .init(addresses: [try SocketAddress(ipAddress: "127.0.0.1", port: 0)]),
            routes: try routes(control: control, data: 6182),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: quiet
        ) { listening.yield($0.first?.port ?? 0) }
        made.yield(gateway)
        group.addTask { try await gateway.run() }
    }
    _ = try await database.addGateway("g1", kind: .relay, address: "127.0.0.1:\(open)")
    let admin = AdminService(database, folder: provider, joinString: try await database.joinStrings())
    let added = try await GatewayAdd(name: "gs1", kind: .server, address: "127.0.0.1:6182").run(admin)
    let membership = try await GatewayMembership.join(added.joinString ?? "", folder: provider.path + "/gs1")
    let data = try await port { listening in
        var configuration = GatewayServer.Configuration()
        configuration.port = 0
        configuration.relays = relays
        let server = try GatewayServer(configuration, membership: membership, logger: quiet) { listening.yield($0) }
        group.addTask { try await server.run() }
    }
    // Its port is known now.
    for await gateway in gateways {
        gateway.reload { try routes(control: control, data: data) }
        break
    }
    return admin
}

/// What a tenant's machine does: it is the same in both modes.
func work(_ admin: AdminService, _ provider: ProviderFolder) async throws {
    let code = try await TenantJoinCode(tenant: "acme").run(admin)
    let profiles = ProfileFolder(provider.path + "/profiles")
    let profile = try await Registration(JoinString(parsing: code.joinString)).register(
        as: "office",
        in: profiles,
        device: "example",
        environment: { _ in nil }
    )
    let key = try await profile.key.deviceKey(environment: { _ in nil })

    func backUp(_ mode: String) async throws {
        try await withProviderTarget(profile, key: key, purpose: .backup, agent: "example", logger: quiet) { target in
            if try await target.list(.config).first(where: { _ in true }) == nil {
                try await Repository.create(at: target, password: password)
            }
            let repository = try await Repository.open(at: target, password: password, cacheRoot: nil)
            let summary = try await repository.backup(FileTreeSource(paths: [folder]))
            print("\(mode): \(summary.filesProcessed) files saved, \(summary.dataAddedPacked) bytes stored")
        }
    }
    try await backUp("Gateway mode")
    let direct = RepositorySettings(mode: .direct, access: .shared, gatewayServers: ["gs1"])
    _ = try await RepositoryUpdate(repository: "main", settings: direct).run(admin)
    try await backUp("Direct mode")
    try await withProviderTarget(profile, key: key, purpose: .restore, agent: "example", logger: quiet) { source in
        let repository = try await Repository.open(at: source, password: password, cacheRoot: nil)
        let latest = try await repository.snapshot(named: "latest")
        let restored = try await repository.restore(RestoreRequest(latest.snapshot, to: target))
        print("\(restored.filesRestored) files restored below \(target)")
    }
}

try await withS3TestServer { storage in
    let provider = ProviderFolder("/tmp/hawser-example-\(ControlID.random().text.prefix(8))")
    defer { try? FileManager.default.removeItem(atPath: provider.path) }
    let database = try await setUp(provider, storage)
    try await withThrowingTaskGroup(of: Void.self) { group in
        let admin = try await start(database, provider, in: &group)
        try await work(admin, provider)
        group.cancelAll()
    }
}
