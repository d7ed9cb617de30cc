import CHawser
import Glibc

/// Turns SIGINT, SIGTERM and SIGHUP into cancellation.
enum Signals {
    /// Milliseconds. A cancelled job ends by itself within this time, unless a call is stuck in the kernel: nothing is lost by leaving
    /// then, because all that is stored is whole at any moment.
    private static let patience: Int32 = 900

    /// Has one element at the first signal. At the second one, or when the program has not ended by then, it ends.
    ///
    /// A thread of its own waits for them, so that they are seen whatever the rest of the program is doing.
    static func interruptions() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        let box = Unmanaged.passRetained(Box(continuation)).toOpaque()
        var thread = pthread_t()
        pthread_create(
            &thread,
            nil,
            { box in
                guard let box else { return nil }
                Signals.wait(Unmanaged<Box>.fromOpaque(box).takeRetainedValue().continuation)
                return nil
            },
            box
        )
        pthread_detach(thread)
        return stream
    }

    private final class Box {
        let continuation: AsyncStream<Void>.Continuation
        init(_ continuation: AsyncStream<Void>.Continuation) { self.continuation = continuation }
    }

    private static func wait(_ continuation: AsyncStream<Void>.Continuation) {
        let signals = hawser_watch_interrupts()
        if signals < 0 { return }
        var byte: UInt8 = 0
        while read(signals, &byte, 1) != 1 {
            if errno != EINTR { return }
        }
        Echo.restore()
        continuation.yield()
        var next = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
        while poll(&next, 1, patience) < 0, errno == EINTR {}
        Console.shared.abandonProgress()
        _exit(ExitStatus.interrupted)
    }
}
