import HawserControl
import HawserFormat

/// All that wants a look now.
public struct AlarmList: AdminRequest {
    public static let operation = "alarm.list"

    /// A tenant whose last backup is older.
    public var daysWithoutBackup: Int
    /// A contract that ends so soon.
    public var daysBeforeEnd: Int

    public init(daysWithoutBackup: Int = 3, daysBeforeEnd: Int = 30) {
        self.daysWithoutBackup = daysWithoutBackup
        self.daysBeforeEnd = daysBeforeEnd
    }

    public func run(_ service: AdminService) async throws -> [ProviderAlarm] {
        guard (0...36_500).contains(daysWithoutBackup), (0...36_500).contains(daysBeforeEnd) else {
            throw HawserError(.invalidArgument, "A number of days is 0 to 36500.")
        }
        return try await service.database.alarms(daysWithoutBackup: daysWithoutBackup, daysBeforeEnd: daysBeforeEnd)
    }
}
