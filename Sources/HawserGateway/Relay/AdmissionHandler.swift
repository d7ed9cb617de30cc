import HawserNetwork
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// On the listening channel: lets a connection in or closes it, before a byte of it is read.
final class AdmissionHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private let connections: Connections
    private let services: RelayServices

    init(_ connections: Connections, _ services: RelayServices) {
        self.connections = connections
        self.services = services
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let channel = unwrapInboundIn(data)
        // Without an address it is closed already.
        guard let peer = channel.remoteAddress, let address = IPAddress(peer) else {
            channel.close(promise: nil)
            return
        }
        guard let refusal = connections.enter(channel, address, now: context.eventLoop.now) else {
            context.fireChannelRead(data)
            return
        }
        services.metrics.refused(refusal)
        services.log.refused(refusal, peer)
        // With a reset instead of an orderly end: a flood would leave the kernel a socket in TIME_WAIT for each attempt.
        let reset = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        guard let reset else { return channel.close(promise: nil) }
        reset.whenComplete { _ in channel.close(promise: nil) }
    }
}
