import CHawser
import Glibc

/// How long one entry has the walk wait, as a moving average: on cold and network file systems it is worth asking for several at once, on
/// warm local ones the threads have better things to do.
struct ScanPace {
    /// Times a stretch of calls on one thread.
    struct Timer {
        private let start = Self.now
        private let waits = hawser_thread_waits()

        /// Nanoseconds, or 0 when the thread never waited: then it took processor time, or was denied it, and more threads don't help.
        var waited: UInt64 {
            hawser_thread_waits() == waits ? 0 : Self.now &- start
        }

        private static var now: UInt64 {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
        }
    }

    // A warm statx takes 2 µs, one that waits for a disk or a network 50 µs and more; the gap keeps it from going to and fro.
    private static let slow = 30_000.0
    private static let fast = 10_000.0
    // In entries: a single outlier must not decide.
    private static let memory = 256.0

    private var nanosecondsPerEntry = 0.0
    private var isFixed = false
    private(set) var isSlow = false

    static let alwaysSlow: ScanPace = {
        var pace = ScanPace()
        pace.isSlow = true
        pace.isFixed = true
        return pace
    }()

    mutating func record(entries: Int, waited nanoseconds: UInt64) {
        if isFixed { return }
        let count = Double(max(entries, 1))
        nanosecondsPerEntry += min(1, count / Self.memory) * (Double(nanoseconds) / count - nanosecondsPerEntry)
        if nanosecondsPerEntry > Self.slow { isSlow = true } else if nanosecondsPerEntry < Self.fast { isSlow = false }
    }
}
