import HawserControl

/// Something that the provider should look at.
public struct ProviderAlarm: Codable, Sendable, Hashable {
    /// Short and stable: `quota`, `over_quota`, `no_backup`, `lease_ends`, `rotate_key`, `deletion_held`, `recovery`, `clock`,
    /// `clock_held`, `certificate`, `authority`, `disk`.
    public var code: String
    /// Whom or what it concerns.
    public var subject: String
    /// For people.
    public var message: String
    /// Of `quota`: 80, 90 or 100 per cent. A higher one is told anew.
    public var level: Int?
}

/// What the provider is told of.
public struct AlarmSettings: Sendable, Hashable {
    public static let days = 0...36_500

    /// Of ``days``: a tenant whose last backup is older.
    public var daysWithoutBackup = 3
    /// Of ``days``: a contract that ends so soon.
    public var daysBeforeEnd = 30

    public init() {}
}

extension ConfigurationDatabase {
    /// Per cent of a quota from which on it is told.
    private static let quotaSteps = [100, 90, 80]
    // Between the machine's clock and the time that the server counts by itself.
    private static let clockTolerance = Duration.seconds(60)

    func alarms(_ settings: AlarmSettings) async throws -> [ProviderAlarm] {
        let now = clock.wall
        var alarms: [ProviderAlarm] = []
        if let recovery = try await recovery(), !recovery.isApproved {
            alarms.append(
                ProviderAlarm(
                    code: "recovery",
                    subject: "database",
                    message: "Deletions from before the restore wait for `recovery approve`."
                )
            )
        }
        let skew = now - clock.steady
        if let alarm = ProviderAlarm(try await clockJump()) {
            alarms.append(alarm)
        } else if skew > Self.clockTolerance || skew < .zero - Self.clockTolerance {
            let text =
                "The clock of this machine has jumped: it is \(skew / .seconds(1)) s off what the server counts. When it is right "
                + "now, restart the server."
            alarms.append(ProviderAlarm(code: "clock", subject: "server", message: text))
        }
        for view in try await quotas(of: nil) { alarms += Self.quota(view) }
        alarms += try await backupAlarms(days: settings.daysWithoutBackup)
        for tenant in try await tenants() where tenant.isEnabled {
            alarms += Self.contract(tenant, now, settings.daysBeforeEnd)
        }
        for storage in try await storages() where storage.keyMustBeRotated {
            let text = "Somebody who may not use it any more has its key: make a new one, then `storage rotate-key`."
            alarms.append(ProviderAlarm(code: "rotate_key", subject: storage.name, message: text))
        }
        // A spree is many requests.
        let byFolder = Dictionary(grouping: try await heldDeletions()) {
            Self.subject($0.tenant, $0.subtenant, $0.repository)
        }
        for (subject, held) in byFolder.sorted(by: { $0.key < $1.key }) {
            let objects = held.reduce(0) { $0 + $1.objects }
            let text =
                "\(objects) objects are to be deleted, in \(held.count) requests: `deletion list`, `deletion approve`, "
                + "`deletion reject`."
            alarms.append(ProviderAlarm(code: "deletion_held", subject: subject, message: text))
        }
        return alarms
    }

    private static func subject(_ tenant: String, _ subtenant: String?, _ repository: String) -> String {
        [tenant, subtenant].compactMap { $0 }.joined(separator: "/") + " in \(repository)"
    }

    private static func quota(_ view: QuotaView) -> [ProviderAlarm] {
        let subject = subject(view.tenant, view.subtenant, view.repository)
        let used = view.folder.used
        guard let limit = view.folder.limit else { return [] }
        if view.folder.isOver {
            let text = "\(used) bytes are stored, \(limit) are allowed: read only until there is room."
            return [ProviderAlarm(code: "over_quota", subject: subject, message: text)]
        }
        if view.folder.isFull {
            let text = "100 % of the quota are used, for a backup found no room: \(used) of \(limit) bytes."
            return [ProviderAlarm(code: "quota", subject: subject, message: text, level: 100)]
        }
        let share = Double(used) / Double(max(1, limit)) * 100
        guard let step = quotaSteps.first(where: { share >= Double($0) }) else { return [] }
        let text = "\(step) % of the quota are used: \(used) of \(limit) bytes."
        return [ProviderAlarm(code: "quota", subject: subject, message: text, level: step)]
    }

    private static func contract(_ tenant: TenantRecord, _ now: Moment, _ daysBeforeEnd: Int) -> [ProviderAlarm] {
        guard let end = tenant.leaseEnd, end - now <= .seconds(daysBeforeEnd * 86_400) else { return [] }
        let text = now < end ? "The contract ends at \(end)." : "The contract has ended at \(end): restores only."
        return [ProviderAlarm(code: "lease_ends", subject: tenant.name, message: text)]
    }
}
