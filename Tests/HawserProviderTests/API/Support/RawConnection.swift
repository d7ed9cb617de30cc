import NIOCore
import NIOPosix

/// A TCP connection without TLS, to see what a server does with it.
struct RawConnection {
    fileprivate let inbound: NIOAsyncChannelInboundStream<ByteBuffer>
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

    /// Bytes that came until the server closed the connection.
    func readToEnd() async throws -> Int {
        var count = 0
        do {
            for try await part in inbound { count += part.readableBytes }
        } catch is IOError {
            // Reset: an end as well.
        }
        return count
    }
}

func withRawConnection(_ port: Int, _ body: (RawConnection) async throws -> Void) async throws {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    try await channel.executeThenClose { inbound, outbound in
        try await body(RawConnection(inbound: inbound, outbound: outbound))
    }
}
