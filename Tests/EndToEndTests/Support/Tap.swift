import NIOCore
import NIOPosix
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Passes connections on to a server, and keeps every byte of both directions.
final class Tap: Sendable {
    private typealias Stream = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    let port: UInt16
    private let server: NIOAsyncChannel<Stream, Never>
    private let target: Int
    private let seen = Mutex(Data())

    /// - Parameter target: the server's port on 127.0.0.1.
    init(to target: UInt16) async throws {
        self.target = Int(target)
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0, childChannelInitializer: Self.wrap)
        port = UInt16(server.channel.localAddress?.port ?? 0)
    }

    var recorded: Data { seen.withLock { $0 } }

    /// Until cancelled.
    func run() async throws {
        try await server.executeThenClose { clients in
            try await withThrowingDiscardingTaskGroup { group in
                for try await client in clients {
                    // Either side may break off.
                    group.addTask { try? await self.pass(client) }
                }
            }
        }
    }

    private static func wrap(_ channel: any Channel) -> EventLoopFuture<Stream> {
        channel.eventLoop.makeCompletedFuture {
            try Stream(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true)
            )
        }
    }

    private func pass(_ client: Stream) async throws {
        let backend = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: target, channelInitializer: Self.wrap)
        try await client.executeThenClose { fromClient, toClient in
            try await backend.executeThenClose { fromBackend, toBackend in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await self.pass(fromClient, toBackend) }
                    group.addTask { try await self.pass(fromBackend, toClient) }
                    // Who closes closes both.
                    try await group.next()
                    group.cancelAll()
                }
            }
        }
    }

    private func pass(
        _ source: NIOAsyncChannelInboundStream<ByteBuffer>,
        _ sink: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        for try await bytes in source {
            seen.withLock { $0.append(contentsOf: bytes.readableBytesView) }
            try await sink.write(bytes)
        }
    }
}
