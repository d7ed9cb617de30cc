// A whole service provider in one process: storage, backup server, and a tenant who backs up a folder straight into the
// storage with presigned requests, hits a quota of 1 MiB, gets more, and restores.
//
//     swift run DirectModeBackup ~/Documents /tmp/restored
import Foundation
import Hawser
import HawserProvider
import HawserTestServer
import Logging
import ServiceLifecycle

tuneProcess()
let (folder, target) = (CommandLine.arguments[1], CommandLine.arguments[2])
let password = Secret("correct horse battery staple")
let quiet = Logger(label: "example", factory: { _ in SwiftLogNoOpLogHandler() })

/// What a provider does once: a storage whose fences are tried, a tenant, a quota.
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
    let admin = AdminService(database, folder: provider)
    let check = try await StorageCheck(storage: "main").run(admin)
    print("\(check.findings.count) attempts of a hostile tenant, \(check.findings.filter(\.held).count) held")
    let access = RepositorySettings(access: .tickets)
    let repository = try await database.addRepository("main", storage: record.id, access)
    let tenant = try await database.addTenant("acme")
    _ = try await database.setQuota(tenant: tenant.id, repository: repository.id, limit: 1 << 20)
    return database
}

/// What a tenant's machine does.
func work(_ database: ConfigurationDatabase, _ provider: ProviderFolder, port: Int) async throws {
    _ = try await database.addGateway("g1", kind: .relay, address: "127.0.0.1:\(port)")
    let admin = AdminService(database, folder: provider, joinString: try await database.joinStrings())
    let code = try await TenantJoinCode(tenant: "acme").run(admin)
    let profiles = ProfileFolder(provider.path + "/profiles")
    let profile = try await Registration(JoinString(parsing: code.joinString)).register(
        as: "office",
        in: profiles,
        device: "example",
        environment: { _ in nil }
    )
    let key = try await profile.key.deviceKey(environment: { _ in nil })

    func backUp() async throws {
        try await withProviderTarget(profile, key: key, purpose: .backup, agent: "example", logger: quiet) { target in
            if try await target.list(.config).first(where: { _ in true }) == nil {
                try await Repository.create(at: target, password: password)
            }
            let repository = try await Repository.open(at: target, password: password, cacheRoot: nil)
            let summary = try await repository.backup(FileTreeSource(paths: [folder]))
            print("\(summary.filesProcessed) files saved, \(summary.dataAddedPacked) bytes stored")
        }
    }
    do {
        try await backUp()
    } catch let error as HawserError where error.code == .quotaExceeded {
        print("The quota of 1 MiB is used up; the provider gives more.")
        let more = QuotaSet(tenant: "acme", repository: "main", limit: 1 << 40)
        _ = try await more.run(admin)
        try await backUp()
    }
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
    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
    var configuration = ProviderServer.Configuration(domain: "backup.example")
    configuration.port = 0
    let server = ProviderServer(configuration, database: database, logger: quiet) { listening.yield($0) }
    let services = ServiceGroup(services: [server], logger: quiet)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await services.run() }
        for await port in ports {
            try await work(database, provider, port: port)
            await services.triggerGracefulShutdown()
            break
        }
        try await group.waitForAll()
    }
}
