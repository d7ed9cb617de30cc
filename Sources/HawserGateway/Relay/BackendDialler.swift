import NIOCore
import NIOPosix

/// Connects to backends, on the client's event loop, so that a relayed connection never crosses threads.
struct BackendDialler: Sendable {
    /// When a peer ends its side, NIO reads all that the kernel has for us at once, whether the other end takes it or not.
    /// So the kernel's buffer is part of the bound. 512 KiB is enough for 1 GB/s in a data centre (0.5 ms); a client's is
    /// left to the kernel, since a fixed one would be too small for long ways.
    private static let receiveBuffer = 512 * 1024

    private let connectLimit: TimeAmount

    init(_ configuration: CloudGateway.Configuration) {
        connectLimit = TimeAmount(configuration.connectLimit)
    }

    func connect(_ address: BackendAddress, on eventLoop: any EventLoop) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(connectLimit)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.setRelayOptions()
                    try channel.syncOptions?.setOption(
                        .socketOption(.so_rcvbuf),
                        value: .init(BackendDialler.receiveBuffer)
                    )
                }
            }
        return address.socketAddress.map(bootstrap.connect(to:))
            ?? bootstrap.connect(host: address.host, port: address.port)
    }
}
