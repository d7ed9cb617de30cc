import Glibc
public import HawserFormat

/// What the machine has.
enum Machine {
    /// Processors that can be used now.
    static let cores = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))
}

extension Timestamp {
    /// By the machine's clock.
    public static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}
