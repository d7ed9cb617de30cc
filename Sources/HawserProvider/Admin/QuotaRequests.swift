import HawserControl
import HawserFormat

/// A quota with names instead of ids.
public struct QuotaView: Codable, Sendable, Hashable {
    public var tenant: String
    /// `NAME (removed)` for one that is only kept: another can have its name.
    public var subtenant: String?
    public var repository: String
    public var folder: FolderRecord
    /// The folder's path in the bucket.
    public var path: String
}

public struct QuotaSet: AdminRequest {
    public static let operation = "quota.set"
    public var tenant: String
    public var subtenant: String?
    public var repository: String
    /// Bytes; `nil` without a limit.
    public var limit: Int?

    public init(tenant: String, subtenant: String? = nil, repository: String, limit: Int?) {
        self.tenant = tenant
        self.subtenant = subtenant
        self.repository = repository
        self.limit = limit
    }

    public func run(_ service: AdminService) async throws -> FolderRecord {
        let owner = try await service.tenant(tenant)
        var part: SubtenantRecord?
        if let subtenant { part = try await service.subtenant(subtenant, of: owner) }
        return try await service.database.setQuota(
            tenant: owner.id,
            subtenant: part?.id,
            repository: service.repository(repository).id,
            limit: limit,
            actor: service.actor
        )
    }
}

public struct QuotaShow: AdminRequest {
    public static let operation = "quota.show"
    public var tenant: String?

    public init(tenant: String? = nil) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> [QuotaView] {
        var owner: ControlID?
        if let tenant { owner = try await service.tenant(tenant).id }
        return try await service.database.quotas(of: owner)
    }
}

/// What a listing of one folder told, or why there is none.
public struct ReconciliationView: Codable, Sendable, Hashable {
    public var tenant: String
    public var subtenant: String?
    public var repository: String
    public var report: ReconciliationReport?
    public var problem: String?
}

/// Compares the storage with the ledger now, folder by folder.
public struct QuotaReconcile: AdminRequest {
    public static let operation = "quota.reconcile"
    /// `nil`: all.
    public var tenant: String?

    public init(tenant: String? = nil) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> [ReconciliationView] {
        var owner: ControlID?
        if let tenant { owner = try await service.tenant(tenant).id }
        var views: [ReconciliationView] = []
        // One after the other: people wait for the whole of it, and the storages have other things to do.
        for quota in try await service.database.quotas(of: owner) {
            var view = ReconciliationView(
                tenant: quota.tenant,
                subtenant: quota.subtenant,
                repository: quota.repository
            )
            do {
                view.report = try await service.storageWork.reconcileNow(quota.folder.id)
            } catch let error as HawserError where error.code != .takenOver {
                view.problem = error.message
            }
            let result = view.report.map { "\($0.stored) bytes stored, ledger \($0.before) to \($0.after)" }
            try await service.database.note(
                "quota.reconcile",
                subject: quota.folder.id.text,
                detail: result ?? "failed",
                actor: service.actor
            )
            views.append(view)
        }
        return views
    }
}

/// A session with names instead of ids.
public struct SessionView: Codable, Sendable, Hashable {
    public var session: SessionRecord
    public var tenant: String
    public var subtenant: String?
    public var device: String
}

/// Those that live.
public struct SessionsShow: AdminRequest {
    public static let operation = "session.list"
    public var tenant: String?

    public init(tenant: String? = nil) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> [SessionView] {
        var owner: ControlID?
        if let tenant { owner = try await service.tenant(tenant).id }
        return try await service.database.sessionViews(of: owner)
    }
}

public struct SessionEnd: AdminRequest {
    public static let operation = "session.end"
    public var session: String
    /// For the tenant.
    public var reason: String

    public init(session: String, reason: String) {
        self.session = session
        self.reason = reason
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.endSession(
            service.id(session, what: "session"),
            ControlProblem(.sessionOver, reason),
            actor: service.actor
        )
        return AdminDone()
    }
}
