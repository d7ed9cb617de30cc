public import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// On a listening channel: pauses when descriptors or memory have run out. The kernel keeps those who wait.
///
/// NIO's `AcceptBackoffHandler` delays the next read, but after a failed `accept` the channel stays registered for reading
/// and fails again at once, which costs a whole core; turning `autoRead` off takes it out of the selector.
public final class AcceptPauseHandler: ChannelInboundHandler {
    public typealias InboundIn = any Channel
    public typealias InboundOut = any Channel

    private let failed: (IOError) -> Void
    private var timer: Scheduled<Void>?
    /// Long enough to cost nothing, short enough for nobody to notice much.
    private static let pause = TimeAmount.milliseconds(250)

    /// - Parameter failed: Called on the event loop for each connection that can't be accepted.
    public init(failed: @escaping (IOError) -> Void = { _ in }) {
        self.failed = failed
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError else { return context.fireErrorCaught(error) }
        failed(failure)
        // Other errors are of one connection, which was gone before it was accepted.
        guard failure.isOutOfResources, timer == nil else { return }
        let options = context.channel.syncOptions
        try? options?.setOption(.autoRead, value: false)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: AcceptPauseHandler.pause) {
            self.timer = nil
            try? options?.setOption(.autoRead, value: true)
        }
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }
}

@available(*, unavailable)
extension AcceptPauseHandler: Sendable {}

extension IOError {
    /// The process or the machine has no descriptors or memory left; time can help.
    public var isOutOfResources: Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errnoCode) }

    /// No local port is left for a connection to the address.
    public var isOutOfPorts: Bool { errnoCode == EADDRNOTAVAIL || errnoCode == EAGAIN }
}
