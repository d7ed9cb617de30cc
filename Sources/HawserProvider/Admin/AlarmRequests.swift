import HawserControl
import HawserFormat

/// All that wants a look now.
public struct AlarmList: AdminRequest {
    public static let operation = "alarm.list"

    /// A tenant whose last backup is older; `nil`: as the server is set.
    public var daysWithoutBackup: Int?
    /// A contract that ends so soon; `nil`: as the server is set.
    public var daysBeforeEnd: Int?

    public init(daysWithoutBackup: Int? = nil, daysBeforeEnd: Int? = nil) {
        self.daysWithoutBackup = daysWithoutBackup
        self.daysBeforeEnd = daysBeforeEnd
    }

    public func run(_ service: AdminService) async throws -> [ProviderAlarm] {
        var settings = service.alarms?.settings ?? AlarmSettings()
        settings.daysWithoutBackup = daysWithoutBackup ?? settings.daysWithoutBackup
        settings.daysBeforeEnd = daysBeforeEnd ?? settings.daysBeforeEnd
        let days = [settings.daysWithoutBackup, settings.daysBeforeEnd]
        guard days.allSatisfy(AlarmSettings.days.contains) else {
            throw HawserError(.invalidArgument, "A number of days is 0 to 36500.")
        }
        return try await service.database.alarms(settings) + (service.alarms?.machineAlarms() ?? [])
    }
}
