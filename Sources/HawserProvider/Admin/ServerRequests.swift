public import HawserControl
import HawserFormat

/// With what it joins with: a gateway server has to, a relay when it is to learn its routes.
public struct GatewayAdded: Codable, Sendable {
    public var gateway: GatewayRecord
    public var code: String
    /// `nil` while there is no authority.
    public var joinString: String?
}

public struct GatewayAdd: AdminRequest {
    public static let operation = "gateway.add"
    public var name: String
    public var kind: GatewayRecord.Kind
    /// `host:port`.
    public var address: String

    public init(name: String, kind: GatewayRecord.Kind, address: String) {
        self.name = name
        self.kind = kind
        self.address = address
    }

    public func run(_ service: AdminService) async throws -> GatewayAdded {
        let database = service.database
        let gateway = try await database.addGateway(name, kind: kind, address: address, actor: service.actor)
        do {
            let code = try await database.addJoinCode(.gateway(gateway.id), actor: service.actor)
            let join = try await service.joinString?(code, name, [])
            return GatewayAdded(gateway: gateway, code: code, joinString: join)
        } catch {
            // One that nobody can join would only be in the way of the next try.
            try await database.removeGateway(gateway.id, actor: service.actor)
            throw error
        }
    }
}

public struct GatewayList: AdminRequest {
    public static let operation = "gateway.list"

    public init() {}

    public func run(_ service: AdminService) async throws -> [GatewayRecord] { try await service.database.gateways() }
}

public struct GatewayRemove: AdminRequest {
    public static let operation = "gateway.remove"
    public var gateway: String

    public init(gateway: String) {
        self.gateway = gateway
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.removeGateway(service.gateway(gateway).id, actor: service.actor)
        return AdminDone()
    }
}

/// The newest first.
public struct AuditList: AdminRequest {
    public static let operation = "audit.list"
    public var limit: Int
    /// What actions begin with.
    public var action: String

    public init(limit: Int = 100, action: String = "") {
        self.limit = limit
        self.action = action
    }

    public func run(_ service: AdminService) async throws -> [AuditEntry] {
        // An answer stays below what the socket carries.
        try await service.database.auditEntries(limit: min(limit, 10_000), action: action)
    }
}

public struct AuditVerify: AdminRequest {
    public static let operation = "audit.verify"

    public init() {}

    public func run(_ service: AdminService) async throws -> AuditProof { try await service.database.verifyAudit() }
}

public struct DatabaseBackup: AdminRequest {
    public static let operation = "database.backup"
    /// An absolute path on the server's machine that does not exist.
    public var file: String

    public init(file: String) {
        self.file = file
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        guard file.hasPrefix("/") else { throw HawserError(.invalidArgument, "Give an absolute path.", place: file) }
        try await service.database.backup(to: file, actor: service.actor)
        return AdminDone()
    }
}

public struct KeyRotate: AdminRequest {
    public static let operation = "key.rotate"
    /// Holds the new key already; otherwise one is made and takes the old file's place.
    public var newKeyFile: String?

    public init(newKeyFile: String? = nil) {
        self.newKeyFile = newKeyFile
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.folder.rotateKey(service.database, to: newKeyFile, actor: service.actor)
        return AdminDone()
    }
}

public struct MaintenanceSet: AdminRequest {
    public static let operation = "maintenance.set"
    /// For people; `nil`: off.
    public var message: String?

    public init(message: String?) {
        self.message = message
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.setMaintenance(message, actor: service.actor)
        return AdminDone()
    }
}

public struct RecoveryApprove: AdminRequest {
    public static let operation = "recovery.approve"

    public init() {}

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.approveRecovery(actor: service.actor)
        return AdminDone()
    }
}

/// Says that the clock was right which was days ahead at the server's start.
public struct ClockApprove: AdminRequest {
    public static let operation = "clock.approve"

    public init() {}

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.approveClock(actor: service.actor)
        return AdminDone()
    }
}

/// A deletion with names instead of ids, and without the keys: of a spree they would be many.
public struct DeletionView: Codable, Sendable, Hashable {
    public var id: ControlID
    public var tenant: String
    public var subtenant: String?
    public var repository: String
    /// How many are to be deleted.
    public var objects: Int
    public var requested: Moment
    /// Insider protection.
    public var notBefore: Moment
    public var state: DeletionRecord.State
}

public struct DeletionList: AdminRequest {
    public static let operation = "deletion.list"

    public init() {}

    public func run(_ service: AdminService) async throws -> [DeletionView] {
        try await service.database.keptDeletions()
    }
}

public struct DeletionApprove: AdminRequest {
    public static let operation = "deletion.approve"
    public var deletions: [String]

    public init(deletions: [String]) {
        self.deletions = deletions
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        for id in try deletions.map({ try service.id($0, what: "deletion request") }) {
            try await service.database.approveDeletion(id, actor: service.actor)
        }
        return AdminDone()
    }
}

public struct DeletionReject: AdminRequest {
    public static let operation = "deletion.reject"
    public var deletions: [String]

    public init(deletions: [String]) {
        self.deletions = deletions
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        for id in try deletions.map({ try service.id($0, what: "deletion request") }) {
            try await service.database.rejectDeletion(id, actor: service.actor)
        }
        return AdminDone()
    }
}
