import HawserControl
import HawserFormat

/// The daily table: how each tenant stands.
public struct UsageReport: AdminRequest {
    public static let operation = "report.tenants"

    public init() {}

    public struct Line: Codable, Sendable, Hashable {
        public var tenant: String
        public var repository: String
        public var isEnabled: Bool
        /// Bytes; `nil` without a limit.
        public var quota: Int?
        /// Subtenants included.
        public var used: Int
        public var free: Int?
        /// More than the quota, by a listing of the storage.
        public var isOver: Bool
        /// Of any of its machines and its subtenants'.
        public var lastBackup: Moment?
        /// The last one of that machine whose last one was longest ago; `nil` when one that backs up has none yet, or none
        /// backs up any more.
        public var oldestBackup: Moment?
        public var leaseEnd: Moment?
    }

    public func run(_ service: AdminService) async throws -> [Line] {
        let database = service.database
        let tenants = Dictionary(uniqueKeysWithValues: try await database.tenants().map { ($0.id, $0) })
        let backups = try await database.lastBackups()
        return try await database.quotas(of: nil).compactMap { view in
            guard view.subtenant == nil, let tenant = tenants[view.folder.tenant] else { return nil }
            return Line(
                tenant: view.tenant,
                repository: view.repository,
                isEnabled: tenant.isEnabled,
                quota: view.folder.limit,
                used: view.folder.used,
                free: view.folder.free,
                isOver: view.folder.isOver,
                lastBackup: backups[tenant.id]?.latest,
                oldestBackup: backups[tenant.id]?.oldest,
                leaseEnd: tenant.leaseEnd
            )
        }
    }
}

/// For bills: what each tenant and subtenant had stored and did in a month (UTC), also those that are gone since.
public struct UsageMonth: AdminRequest {
    public static let operation = "report.month"
    /// `2026-01`.
    public var month: String

    public init(month: String) {
        self.month = month
    }

    public struct Line: Codable, Sendable, Hashable {
        public var tenant: String
        public var subtenant: String?
        public var repository: String
        /// Days with samples.
        public var days: Int
        /// Bytes, over the days with samples.
        public var average: Int
        public var peak: Int
        /// To gateway servers, those for which a ticket was given, and lists of objects that the server gave.
        public var requests: Int
        /// Bytes of objects that gateway servers sent.
        public var egress: Int
        /// What of these only the storage counts, by the way on which the repository is reached now.
        public var uncounted: [Uncounted]
    }

    public enum Uncounted: String, Codable, Sendable {
        case requests, egress
    }

    public func run(_ service: AdminService) async throws -> [Line] {
        guard Timestamp(text: month + "-01T00:00:00.000000000Z") != nil else {
            throw HawserError(.invalidArgument, "A month is such as 2026-01.", place: month)
        }
        let days = try await service.database.usage(from: month + "-01", through: month + "-31")
        let byFolder = Dictionary(grouping: days, by: \.folder)
        let uncounted = try await service.uncounted()
        return try await service.database.folderNames().compactMap { names in
            guard let days = byFolder[names.folder] else { return nil }
            let sampled = days.filter { $0.samples > 0 }
            let sum = sampled.reduce(0.0) { $0 + Double($1.average) }
            return Line(
                tenant: names.tenant,
                subtenant: names.subtenant,
                repository: names.repository,
                days: sampled.count,
                average: Int(sum / Double(max(1, sampled.count))),
                peak: days.map(\.peak).max() ?? 0,
                requests: days.reduce(0) { min($0 + $1.requests, ledgerBound) },
                egress: days.reduce(0) { min($0 + $1.egress, ledgerBound) },
                uncounted: uncounted[names.repository] ?? []
            )
        }
    }
}

extension AdminService {
    /// By repositories' names.
    fileprivate func uncounted() async throws -> [String: [UsageMonth.Uncounted]] {
        let kinds = Dictionary(uniqueKeysWithValues: try await database.storages().map { ($0.id, $0.settings.kind) })
        let repositories = try await database.repositories()
        return Dictionary(
            uniqueKeysWithValues: repositories.map { repository in
                (repository.name, repository.settings.uncounted(kinds[repository.storage] ?? .compatible))
            }
        )
    }
}

extension RepositorySettings {
    fileprivate func uncounted(_ kind: StorageKind) -> [UsageMonth.Uncounted] {
        switch (mode, kind, access) {
        case (.gateway, _, _), (.direct, .compatible, .provider): []
        // How long what is read is, a ticket does not tell.
        case (.direct, _, .tickets), (.direct, .google, _): [.egress]
        case (.direct, _, _): [.requests, .egress]
        }
    }
}
