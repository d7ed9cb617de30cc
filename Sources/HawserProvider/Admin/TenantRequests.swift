import HawserControl
import HawserFormat
import HawserS3

public struct TenantAdd: AdminRequest {
    public static let operation = "tenant.add"
    public var name: String
    public var leaseEnd: Moment?
    public var settings: TenantSettings

    public init(name: String, leaseEnd: Moment? = nil, settings: TenantSettings = TenantSettings()) {
        self.name = name
        self.leaseEnd = leaseEnd
        self.settings = settings
    }

    public func run(_ service: AdminService) async throws -> TenantRecord {
        for name in settings.gateways { _ = try await service.gateway(name) }
        return try await service.database.addTenant(name, leaseEnd: leaseEnd, settings, actor: service.actor)
    }
}

public struct TenantList: AdminRequest {
    public static let operation = "tenant.list"

    public init() {}

    public func run(_ service: AdminService) async throws -> [TenantRecord] { try await service.database.tenants() }
}

/// All that there is about one tenant.
public struct TenantShow: AdminRequest {
    public static let operation = "tenant.show"
    public var tenant: String

    public init(tenant: String) {
        self.tenant = tenant
    }

    public struct Answer: Codable, Sendable {
        public var tenant: TenantRecord
        public var subtenants: [SubtenantRecord]
        public var devices: [DeviceRecord]
        public var quotas: [QuotaView]
        public var sessions: [SessionView]
    }

    public func run(_ service: AdminService) async throws -> Answer {
        let tenant = try await service.tenant(tenant)
        return Answer(
            tenant: tenant,
            subtenants: try await service.database.subtenants(of: tenant.id),
            devices: try await service.database.devices(of: tenant.id),
            quotas: try await QuotaShow(tenant: tenant.id.text).run(service),
            sessions: try await SessionsShow(tenant: tenant.id.text).run(service)
        )
    }
}

/// Changes what is given, and leaves the rest.
public struct TenantUpdate: AdminRequest {
    public static let operation = "tenant.update"
    public var tenant: String
    public var isEnabled: Bool?
    public var leaseEnd: AdminChange<Moment>?
    public var mostSessions: AdminChange<Int>?
    public var bandwidth: AdminChange<Int>?
    public var gateways: [String]?
    public var reachesSubtenants: Bool?
    public var note: String?

    public init(tenant: String) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> TenantRecord {
        if let gateways { for name in gateways { _ = try await service.gateway(name) } }
        let id = try await service.tenant(tenant).id
        return try await service.database.updateTenant(id, actor: service.actor) { tenant in
            guard tenant.deleteAfter == nil else {
                throw ConfigurationDatabase.wasRemoved(tenant.name)
            }
            if let isEnabled { tenant.isEnabled = isEnabled }
            if let leaseEnd { tenant.leaseEnd = leaseEnd.value }
            if let mostSessions { tenant.settings.mostSessions = mostSessions.value }
            if let bandwidth { tenant.settings.bandwidth = bandwidth.value }
            if let gateways { tenant.settings.gateways = gateways }
            if let reachesSubtenants { tenant.settings.reachesSubtenants = reachesSubtenants }
            if let note { tenant.settings.note = note }
        }
    }
}

/// Ends everything now, and deletes the data after so many days.
public struct TenantRemove: AdminRequest {
    public static let operation = "tenant.remove"
    public var tenant: String
    public var keepDays: Int

    public init(tenant: String, keepDays: Int) {
        self.tenant = tenant
        self.keepDays = keepDays
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        let keep = try Self.duration(keepDays)
        let id = try await service.tenant(tenant).id
        try await service.database.removeTenant(id, keep: keep, actor: service.actor)
        return AdminDone()
    }

    fileprivate static func duration(_ days: Int) throws -> Duration {
        guard (0...36_500).contains(days) else {
            throw HawserError(.invalidArgument, "Data is kept 0 to 36500 days.")
        }
        return .seconds(days * 86_400)
    }
}

/// Takes a removal back, while its days last.
public struct TenantRestore: AdminRequest {
    public static let operation = "tenant.restore"
    public var tenant: String

    public init(tenant: String) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> TenantRecord {
        try await service.database.restoreTenant(service.tenant(tenant).id, actor: service.actor)
    }
}

public struct TenantJoinCode: AdminRequest {
    public static let operation = "tenant.join-code"
    public var tenant: String
    public var subtenant: String?

    public init(tenant: String, subtenant: String? = nil) {
        self.tenant = tenant
        self.subtenant = subtenant
    }

    public struct Answer: Codable, Sendable {
        public var code: String
        /// For `hawser login`.
        public var joinString: String
        /// Seconds.
        public var expiresIn: Int
    }

    /// - Throws: `notFound` while there is no authority that tenants could trust.
    public func run(_ service: AdminService) async throws -> Answer {
        let tenant = try await service.tenant(tenant)
        var part: SubtenantRecord?
        if let subtenant { part = try await service.subtenant(subtenant, of: tenant) }
        guard let joinString = service.joinString else {
            throw HawserError(
                .notFound,
                "Machines join with the server's authority, and there is none yet: `hawser-provider init --domain` makes it, "
                    + "or later the first `serve --domain`."
            )
        }
        let subject = JoinSubject.device(tenant: tenant.id, subtenant: part?.id)
        // Without an address to dial the code would be of no use, and be good for 72 hours.
        let gateways = tenant.settings.gateways
        _ = try await joinString(String(repeating: "0", count: 26), tenant.name, gateways)
        let code = try await service.database.addJoinCode(subject, actor: service.actor)
        return Answer(
            code: code,
            joinString: try await joinString(code, tenant.name, gateways),
            expiresIn: Int(ConfigurationDatabase.joinCodeLifetime / .seconds(1))
        )
    }
}

public struct SubtenantAdd: AdminRequest {
    public static let operation = "subtenant.add"
    public var tenant: String
    public var name: String

    public init(tenant: String, name: String) {
        self.tenant = tenant
        self.name = name
    }

    public func run(_ service: AdminService) async throws -> SubtenantRecord {
        let owner = try await service.tenant(tenant).id
        return try await service.database.addSubtenant(name, of: owner, actor: service.actor)
    }
}

public struct SubtenantList: AdminRequest {
    public static let operation = "subtenant.list"
    public var tenant: String

    public init(tenant: String) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> [SubtenantRecord] {
        try await service.database.subtenants(of: service.tenant(tenant).id)
    }
}

public struct SubtenantUpdate: AdminRequest {
    public static let operation = "subtenant.update"
    public var tenant: String
    public var subtenant: String
    public var isEnabled: Bool

    public init(tenant: String, subtenant: String, isEnabled: Bool) {
        self.tenant = tenant
        self.subtenant = subtenant
        self.isEnabled = isEnabled
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        let record = try await service.subtenant(subtenant, of: service.tenant(tenant))
        try await service.database.setSubtenant(record.id, isEnabled: isEnabled, actor: service.actor)
        return AdminDone()
    }
}

/// As `TenantRemove`.
public struct SubtenantRemove: AdminRequest {
    public static let operation = "subtenant.remove"
    public var tenant: String
    public var subtenant: String
    public var keepDays: Int

    public init(tenant: String, subtenant: String, keepDays: Int) {
        self.tenant = tenant
        self.subtenant = subtenant
        self.keepDays = keepDays
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        let keep = try TenantRemove.duration(keepDays)
        let record = try await service.subtenant(subtenant, of: service.tenant(tenant))
        try await service.database.removeSubtenant(record.id, keep: keep, actor: service.actor)
        return AdminDone()
    }
}

/// As `TenantRestore`.
public struct SubtenantRestore: AdminRequest {
    public static let operation = "subtenant.restore"
    public var tenant: String
    /// The id, where another has the name.
    public var subtenant: String

    public init(tenant: String, subtenant: String) {
        self.tenant = tenant
        self.subtenant = subtenant
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        let record = try await service.subtenant(subtenant, of: service.tenant(tenant))
        try await service.database.restoreSubtenant(record.id, actor: service.actor)
        return AdminDone()
    }
}

/// A device with names instead of ids.
public struct DeviceView: Codable, Sendable, Hashable {
    public var device: DeviceRecord
    public var tenant: String
    public var subtenant: String?
}

public struct DeviceList: AdminRequest {
    public static let operation = "device.list"
    public var tenant: String?

    public init(tenant: String? = nil) {
        self.tenant = tenant
    }

    public func run(_ service: AdminService) async throws -> [DeviceView] {
        var owner: ControlID?
        if let tenant { owner = try await service.tenant(tenant).id }
        return try await service.database.deviceViews(of: owner)
    }
}

public struct DeviceRevoke: AdminRequest {
    public static let operation = "device.revoke"
    public var device: String

    public init(device: String) {
        self.device = device
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.revokeDevice(service.id(device, what: "device"), actor: service.actor)
        return AdminDone()
    }
}

/// Reading access to a folder for a while, without the provider's server: for restores while that is down.
public struct TenantExportAccess: AdminRequest {
    public static let operation = "tenant.exportAccess"
    public var tenant: String
    public var subtenant: String?
    public var repository: String
    /// 900 to 1,209,600; a storage may grant less.
    public var seconds: Int

    public init(tenant: String, subtenant: String? = nil, repository: String, seconds: Int) {
        self.tenant = tenant
        self.subtenant = subtenant
        self.repository = repository
        self.seconds = seconds
    }

    /// What `hawser -r s3:…` takes.
    public struct Answer: Codable, Sendable {
        public var address: String
        public var region: String
        public var usesPathStyle: Bool
        /// Certificate (PEM) of the storage's private authority.
        public var authority: String?
        public var accessKeyID: String
        public var secretAccessKey: String
        public var sessionToken: String?
        public var end: Moment
    }

    /// - Throws: `unsupported` where the storage makes no temporary credentials whose fence was seen to hold.
    public func run(_ service: AdminService) async throws -> Answer {
        let database = service.database
        guard (900...1_209_600).contains(seconds) else {
            throw HawserError(.invalidArgument, "Reading access lasts 15 minutes to 14 days.")
        }
        let tenant = try await service.tenant(tenant)
        let repository = try await service.repository(repository)
        var part: ControlID?
        if let subtenant { part = try await service.subtenant(subtenant, of: tenant).id }
        let folder = try await database.folder(tenant: tenant.id, subtenant: part, repository: repository.id)
        let storage = try await database.storage(repository.storage)
        guard storage.settings.issuers.contains(.sts) else {
            throw HawserError(
                .unsupported,
                "Only temporary credentials can be given away, and this storage has none whose fence was seen to hold: set "
                    + "--sts-role or --sts-principal with «storage update», then run «storage check».",
                place: storage.name
            )
        }
        let (credentials, life) = try await service.storageWork.issuer.assume(
            storage,
            FolderPolicy(folder, in: storage.settings),
            .purpose(.restore),
            atMost: seconds
        )
        let end = database.clock.wall + life
        try await database.note(
            "tenant.exportAccess",
            subject: tenant.name,
            detail: "\(folder.id) until \(end)",
            actor: service.actor
        )
        let settings = storage.settings
        var address = "s3:\(settings.tenantEndpoint ?? settings.endpoint)"
        if !address.hasSuffix("/") { address += "/" }
        return Answer(
            address: address + "\(settings.bucket)/\(folder.path(in: settings).dropLast())",
            region: settings.region,
            usesPathStyle: settings.usesPathStyle,
            authority: settings.tenantAuthority,
            accessKeyID: credentials.accessKeyID,
            secretAccessKey: String(decoding: credentials.secretAccessKey.bytes, as: UTF8.self),
            sessionToken: credentials.sessionToken.map { String(decoding: $0.bytes, as: UTF8.self) },
            end: end
        )
    }
}
