public import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The provider's two clocks.
///
/// Lifetimes (of leases, sessions, codes) count on `steady`, which starts from the wall clock, or where the server
/// before this one had come to (`ConfigurationDatabase.startOfTime`), and then runs by the machine's monotonic clock: a
/// wall clock that jumps ends nothing and revives nothing. Dates that people set (the end of a contract, days of a report)
/// are compared with `wall`.
public struct ProviderClock: Sendable {
    private let wallClock: @Sendable () -> Timestamp
    private let monotonic: @Sendable () -> Duration
    private let base: Moment
    private let start: Duration

    public init() {
        let start = ContinuousClock.now
        self.init(wall: Self.systemTime, monotonic: { ContinuousClock.now - start })
    }

    /// - Parameters:
    ///   - wall: may jump.
    ///   - monotonic: time since some start; never goes back.
    public init(wall: @escaping @Sendable () -> Timestamp, monotonic: @escaping @Sendable () -> Duration) {
        self.init(wall: wall, monotonic: monotonic, base: Moment(wall()), start: monotonic())
    }

    private init(
        wall: @escaping @Sendable () -> Timestamp,
        monotonic: @escaping @Sendable () -> Duration,
        base: Moment,
        start: Duration
    ) {
        wallClock = wall
        self.monotonic = monotonic
        self.base = base
        self.start = start
    }

    @Sendable
    private static func systemTime() -> Timestamp {
        let time = Date.now.timeIntervalSince1970
        let seconds = time.rounded(.down)
        return Timestamp(seconds: Int64(seconds), nanoseconds: UInt32((time - seconds) * 1e9))
    }

    public var wall: Moment { Moment(wallClock()) }

    public var steady: Moment { base + (monotonic() - start) }

    /// One whose steady time is `base` now.
    func starting(at base: Moment) -> ProviderClock {
        ProviderClock(wall: wallClock, monotonic: monotonic, base: base, start: monotonic())
    }
}
