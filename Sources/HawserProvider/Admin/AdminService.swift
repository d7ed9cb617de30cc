import HawserControl
import HawserFormat
import Logging

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Does the provider's commands on the database: inside the running server, or in a command while the server is stopped.
public struct AdminService: AdminTransport {
    /// What a join string is made of besides the code; it wants the authority's certificate, which the server has.
    ///
    /// `gateways` are the names of those that it may contain; none: all.
    public typealias JoinString =
        @Sendable (_ code: String, _ name: String, _ gateways: [String]) async throws -> String

    public let database: ConfigurationDatabase
    public let folder: ProviderFolder
    /// For the audit log.
    public var actor: String
    public var joinString: JoinString?
    let storageWork: StorageWork
    /// The running server's.
    let alarms: AlarmWatch?

    public init(
        _ database: ConfigurationDatabase,
        folder: ProviderFolder,
        actor: String = "admin",
        joinString: JoinString? = nil
    ) {
        self.database = database
        self.folder = folder
        self.actor = actor
        self.joinString = joinString
        alarms = nil
        // What is found is the command's output; a log would come between.
        storageWork = StorageWork(database, logger: Logger(label: "hawser.provider") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Inside a running server, which works on the storages by itself.
    init(
        _ database: ConfigurationDatabase,
        folder: ProviderFolder,
        alarms: AlarmWatch,
        storageWork: StorageWork,
        joinString: JoinString?
    ) {
        self.database = database
        self.folder = folder
        actor = "admin"
        self.joinString = joinString
        self.alarms = alarms
        self.storageWork = storageWork
    }

    private static let requests: [any AdminRequest.Type] = [
        TenantAdd.self, TenantList.self, TenantShow.self, TenantUpdate.self, TenantRemove.self, TenantJoinCode.self,
        TenantRestore.self, SubtenantRestore.self,
        SubtenantAdd.self, SubtenantList.self, SubtenantUpdate.self, SubtenantRemove.self,
        DeviceList.self, DeviceRevoke.self,
        StorageAdd.self, StorageList.self, StorageShow.self, StorageUpdate.self, StorageRemove.self,
        StorageCheck.self, StorageRotateKey.self, TenantExportAccess.self,
        RepositoryAdd.self, RepositoryList.self, RepositoryUpdate.self, RepositoryRemove.self,
        QuotaSet.self, QuotaShow.self, QuotaReconcile.self, SessionsShow.self, SessionEnd.self,
        GatewayAdd.self, GatewayList.self, GatewayRemove.self,
        AuditList.self, AuditVerify.self, DatabaseBackup.self, KeyRotate.self,
        UsageReport.self, UsageMonth.self, MaintenanceSet.self, RecoveryApprove.self, ClockApprove.self,
        DeletionList.self, DeletionApprove.self, DeletionReject.self, AlarmList.self,
        WebhookAdd.self, WebhookList.self, WebhookRemove.self, WebhookTest.self,
        SettingsShow.self, SettingsSet.self,
    ]

    /// By operation.
    private static let known = Dictionary(uniqueKeysWithValues: requests.map { ($0.operation, $0) })

    /// All that it does, such as `tenant.add`.
    public static var operations: [String] { known.keys.sorted() }

    public func perform(_ operation: String, _ body: Data) async throws -> Data {
        guard let type = Self.known[operation] else {
            throw HawserError(.notFound, "There is no command \(operation.prefix(64)).")
        }
        return try await perform(type, body)
    }

    private func perform<Request: AdminRequest>(_ type: Request.Type, _ body: Data) async throws -> Data {
        let request: Request
        do {
            request = try JSONDecoder().decode(type, from: body)
        } catch {
            throw HawserError(
                .invalidArgument,
                "The request for \(type.operation) is not understood. Use the same version as the server.",
                cause: error
            )
        }
        return try adminEncoder().encode(await request.run(self))
    }
}

/// People name things; ids are taken too.
extension AdminService {
    func tenant(_ name: String) async throws -> TenantRecord {
        try await database.find(name)
    }

    func subtenant(_ name: String, of tenant: TenantRecord) async throws -> SubtenantRecord {
        guard
            let found = try await database.subtenants(of: tenant.id).first(where: {
                $0.name == name || $0.id.text == name
            })
        else { throw HawserError(.notFound, "The tenant has no such subtenant.", place: name) }
        return found
    }

    func storage(_ name: String) async throws -> StorageRecord {
        try await database.find(name)
    }

    func repository(_ name: String) async throws -> RepositoryRecord {
        try await database.find(name)
    }

    func gateway(_ name: String) async throws -> GatewayRecord {
        try await database.find(name)
    }

    func id(_ text: String, what: String) throws -> ControlID {
        guard let id = ControlID(text) else {
            throw HawserError(.invalidArgument, "The id of a \(what) is 32 hexadecimal digits.", place: text)
        }
        return id
    }
}
