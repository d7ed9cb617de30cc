import HawserControl
import HawserFormat

/// Something that the provider should look at.
public struct ProviderAlarm: Codable, Sendable, Hashable {
    /// Short and stable: `quota`, `over_quota`, `no_backup`, `lease_ends`, `rotate_key`, `deletion_held`, `recovery`.
    public var code: String
    /// Whom or what it concerns.
    public var subject: String
    /// For people.
    public var message: String
}

/// All that wants a look now. A server that asks now and then tells what is new.
public struct AlarmList: AdminRequest {
    public static let operation = "alarm.list"
    /// Per cent of a quota from which on it is told.
    public static let quotaSteps = [100, 90, 80]

    /// A tenant whose last backup is older.
    public var daysWithoutBackup: Int
    /// A contract that ends so soon.
    public var daysBeforeEnd: Int

    public init(daysWithoutBackup: Int = 3, daysBeforeEnd: Int = 30) {
        self.daysWithoutBackup = daysWithoutBackup
        self.daysBeforeEnd = daysBeforeEnd
    }

    public func run(_ service: AdminService) async throws -> [ProviderAlarm] {
        let database = service.database
        let now = database.clock.wall
        guard (0...36_500).contains(daysWithoutBackup), (0...36_500).contains(daysBeforeEnd) else {
            throw HawserError(.invalidArgument, "A number of days is 0 to 36500.")
        }
        var alarms: [ProviderAlarm] = []
        if let recovery = try await database.recovery(), !recovery.isApproved {
            alarms.append(
                ProviderAlarm(
                    code: "recovery",
                    subject: "database",
                    message: "Deletions from before the restore wait for `recovery approve`."
                )
            )
        }
        for view in try await database.quotas(of: nil) { alarms += quota(view) }
        let backups = try await database.lastBackups()
        for tenant in try await database.tenants() where tenant.isEnabled {
            alarms += contract(tenant, now)
            // One that never was is counted from the tenant's first day.
            let last = backups[tenant.id] ?? tenant.created
            if now - last >= .seconds(daysWithoutBackup * 86_400) {
                let text = backups[tenant.id].map { "The last backup was at \($0)." } ?? "There is no backup yet."
                alarms.append(ProviderAlarm(code: "no_backup", subject: tenant.name, message: text))
            }
        }
        for storage in try await database.storages() where storage.keyMustBeRotated {
            let text = "Somebody who may not use it any more has its key: make a new one, then `storage rotate-key`."
            alarms.append(ProviderAlarm(code: "rotate_key", subject: storage.name, message: text))
        }
        for deletion in try await database.heldDeletions() {
            let text = "\(deletion.keys.count) objects are to be deleted: `deletion approve \(deletion.id)`."
            alarms.append(ProviderAlarm(code: "deletion_held", subject: deletion.folder.text, message: text))
        }
        return alarms
    }

    private func quota(_ view: QuotaView) -> [ProviderAlarm] {
        let subject = [view.tenant, view.subtenant].compactMap { $0 }.joined(separator: "/") + " in \(view.repository)"
        let used = view.folder.used
        guard let limit = view.folder.limit else { return [] }
        if view.folder.isOver {
            let text = "\(used) bytes are stored, \(limit) are allowed: read only until there is room."
            return [ProviderAlarm(code: "over_quota", subject: subject, message: text)]
        }
        let share = Double(used) / Double(max(1, limit)) * 100
        guard let step = Self.quotaSteps.first(where: { share >= Double($0) }) else { return [] }
        let text = "\(step) % of the quota are used: \(used) of \(limit) bytes."
        return [ProviderAlarm(code: "quota", subject: subject, message: text)]
    }

    private func contract(_ tenant: TenantRecord, _ now: Moment) -> [ProviderAlarm] {
        guard let end = tenant.leaseEnd, end - now <= .seconds(daysBeforeEnd * 86_400) else { return [] }
        let text = now < end ? "The contract ends at \(end)." : "The contract has ended at \(end): restores only."
        return [ProviderAlarm(code: "lease_ends", subject: tenant.name, message: text)]
    }
}
