/// How long what a backup needs can't be deleted from the storage, where that has object locks.
public struct ObjectLock: Hashable, Sendable {
    /// The raw value is that of the format.
    public enum Mode: UInt8, Sendable, CaseIterable {
        /// Whom the storage's owner has given that right may lift it.
        case governance = 1
        /// Nobody can, whatever he may.
        case compliance = 2
    }

    public let mode: Mode
    /// 1 to ``mostDays``.
    public let days: UInt16

    /// What storages take: a hundred years.
    public static let mostDays: UInt16 = 36_500

    /// - Throws: `invalidArgument` when there are no such days.
    public init(_ mode: Mode, days: Int) throws {
        guard (1...Int(Self.mostDays)).contains(days) else {
            throw HawserError(.invalidArgument, "Objects are locked for 1 to \(Self.mostDays) days, not \(days).")
        }
        self.mode = mode
        self.days = UInt16(days)
    }

    /// Seconds. All locks end on whole multiples: so that of a pack which each backup needs is moved once in ten days, and
    /// not by each backup.
    private static let step: Int64 = 10 * day
    private static let day: Int64 = 86_400

    /// The end of the lock of what is needed at `time`: the days, and up to ten more.
    public func end(at time: Timestamp) -> Timestamp {
        Timestamp(seconds: (leastEnd(at: time).seconds + Self.step - 1) / Self.step * Self.step)
    }

    /// What was promised at `time`.
    public func leastEnd(at time: Timestamp) -> Timestamp {
        Timestamp(seconds: time.seconds + Int64(days) * Self.day)
    }
}

extension ObjectKind {
    /// Whether an object lock covers it: all that a restore needs. Indexes are made anew from packs; checkpoints and marks
    /// only spare work.
    public var isLocked: Bool {
        switch self {
        case .config, .keySlot, .dataPack, .metadataPack, .snapshot, .receipt, .refs: true
        case .dataIndex, .metadataIndex, .checkpoint, .condemned: false
        }
    }
}
