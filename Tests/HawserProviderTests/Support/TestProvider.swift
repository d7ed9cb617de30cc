import Foundation
import GRDB
import HawserControl
import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserProvider

/// A provider with an open database in a folder of its own, and clocks that the test moves.
final class TestProvider: Sendable {
    /// 2026-01-01.
    static let start = Timestamp(seconds: 1_767_225_600)

    let folder: ProviderFolder
    let monotonic = ManualClock()
    private let wallJump = Mutex(Int64(0))
    private let opened = Mutex<ConfigurationDatabase?>(nil)

    init(_ folder: ProviderFolder) {
        self.folder = folder
    }

    var clock: ProviderClock {
        ProviderClock(
            wall: { [self] in
                let seconds = Int64(monotonic.now.offset / .seconds(1)) + wallJump.withLock { $0 }
                return Timestamp(seconds: Self.start.seconds + seconds)
            },
            monotonic: { [self] in monotonic.now.offset }
        )
    }

    var database: ConfigurationDatabase {
        opened.withLock { $0.unsafelyUnwrapped }
    }

    func advance(_ duration: Duration) { monotonic.advance(by: duration) }

    /// Sets the wall clock forward or back.
    func jumpWall(seconds: Int64) { wallJump.withLock { $0 += seconds } }

    /// As a new process would, while the old one was killed: what it held in memory is gone.
    func reopen() async throws {
        let database = try await folder.open(takeOver: true, clock: clock)
        opened.withLock { $0 = database }
    }

    static func with<Result>(_ body: (TestProvider) async throws -> Result) async throws -> Result {
        let path = FileManager.default.temporaryDirectory.path + "/hawser-provider-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        let provider = TestProvider(ProviderFolder(path))
        let database = try await provider.folder.initialize(clock: provider.clock)
        provider.opened.withLock { $0 = database }
        let result = try await body(provider)
        try? await provider.database.close()
        return result
    }

    // MARK: What tests need most

    func repository(
        _ name: String = "main",
        _ settings: RepositorySettings = RepositorySettings()
    ) async throws -> RepositoryRecord {
        let storage = try await database.addStorage(
            name,
            StorageSettings(kind: .compatible, endpoint: "https://s3.example", bucket: name, accessKeyID: "AK"),
            secret: Secret(Array("secret of \(name)".utf8))
        )
        return try await database.addRepository(name, storage: storage.id, settings)
    }

    /// A tenant with a quota and a device.
    func tenant(
        _ name: String = "tenant",
        in repository: RepositoryRecord,
        limit: Int?,
        _ settings: TenantSettings = TenantSettings()
    ) async throws -> TestTenant {
        let tenant = try await database.addTenant(name, settings)
        let folder = try await database.setQuota(tenant: tenant.id, repository: repository.id, limit: limit)
        return TestTenant(
            provider: self,
            tenant: tenant.id,
            subtenant: nil,
            repository: repository.id,
            folder: folder.id,
            device: try await device(tenant: tenant.id)
        )
    }

    func device(tenant: ControlID, subtenant: ControlID? = nil) async throws -> ControlID {
        let code = try await database.addJoinCode(.device(tenant: tenant, subtenant: subtenant))
        return try await database.registerDevice(code: code, publicKey: randomBytes(32), name: "machine").device.id
    }
}

struct TestTenant: Sendable {
    var provider: TestProvider
    var tenant: ControlID
    var subtenant: ControlID?
    var repository: ControlID
    var folder: ControlID
    var device: ControlID

    var database: ConfigurationDatabase { provider.database }

    func session(_ purpose: Purpose = .backup) async throws -> LedgerTarget {
        let opened = try await database.openSession(device: device, purpose: purpose, agent: "test")
        return LedgerTarget(opened.session, repository: repository)
    }

    func record() async throws -> FolderRecord { try await database.folder(folder) }

    /// A subtenant with a quota of its own, or none.
    func subtenant(_ name: String, limit: Int?) async throws -> TestTenant {
        let record = try await database.addSubtenant(name, of: tenant)
        var part = self
        part.subtenant = record.id
        part.folder = try await database.setQuota(
            tenant: tenant,
            subtenant: record.id,
            repository: repository,
            limit: limit
        ).id
        part.device = try await provider.device(tenant: tenant, subtenant: record.id)
        return part
    }
}

/// An object that no other is like.
func object(_ length: Int) -> ObjectRecord {
    let name = randomBytes(32).hex
    return ObjectRecord(key: "packs/d/\(name.prefix(2))/\(name)", length: length)
}

/// The key of a snapshot, or of another kind, that no other is like.
func key(_ kind: ObjectKind = .snapshot) -> ObjectKey {
    .named(kind, ObjectName(hashOf: randomBytes(32)))
}

/// As a storage lists it.
func listing(_ objects: some Sequence<ObjectRecord>) -> AsyncStream<ListedObject> {
    listing(objects.map { ListedObject($0) })
}

func listing(_ objects: [ListedObject]) -> AsyncStream<ListedObject> {
    AsyncStream { continuation in
        for object in objects { continuation.yield(object) }
        continuation.finish()
    }
}

/// - Returns: the error that `body` must throw, with this code.
@discardableResult
func expectError<Value>(
    _ code: HawserError.Code,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Value
) async -> HawserError? {
    let error = await #expect(throws: HawserError.self, sourceLocation: sourceLocation) { _ = try await body() }
    #expect(error?.code == code, sourceLocation: sourceLocation)
    return error
}

/// A value that many tasks change.
final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) {
        state = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        try state.withLock { value in try body(&value) }
    }
}

/// Disks that fail.
extension ConfigurationDatabase {
    /// As on a disk on which so many pages of 4 KiB are free.
    func leaveRoom(pages: Int) async throws {
        try await pool.writeWithoutTransaction { db in
            let taken = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            try db.execute(sql: "PRAGMA max_page_count = \(taken + pages)")
        }
    }

    func setReadOnly(_ isReadOnly: Bool) async throws {
        try await pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA query_only = \(isReadOnly ? 1 : 0)") }
    }
}
