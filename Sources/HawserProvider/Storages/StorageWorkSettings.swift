/// How the provider's server works on its storages.
public struct StorageWorkSettings: Sendable, Hashable {
    /// A tenant that has more than this share of a folder's objects deleted within a day, per cent, … 100: never.
    public var spreePercent = 50
    /// … and more than so many, waits for the provider's word.
    public var spreeObjects = 1_000
    /// Multipart uploads that were begun longer ago are ended.
    public var unfinishedUploadAge = Duration.seconds(86_400)
    /// A request to delete is answered after so long at the latest; what is not gone by then goes in the background.
    public var answerTime = Duration.seconds(10)

    public init() {}
}

/// Pauses after failures, by storage and by folder. Pure.
struct StoragePauses: Sendable {
    // The first pause, doubled with each failure in a row up to an hour.
    private static let first = Duration.seconds(30)
    private static let longest = Duration.seconds(3600)

    private var entries: [String: (failures: Int, until: Moment)] = [:]

    func isPaused(_ id: String, at now: Moment) -> Bool {
        entries[id].map { now < $0.until } ?? false
    }

    mutating func failed(_ id: String, at now: Moment) {
        let failures = (entries[id]?.failures ?? 0) + 1
        let pause = min(Self.longest, Self.first * (1 << min(failures - 1, 20)))
        entries[id] = (failures, now + pause)
    }

    mutating func succeeded(_ id: String) { entries[id] = nil }
}
