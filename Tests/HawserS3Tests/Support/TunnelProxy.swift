import HawserFormat
import NIOCore
import NIOPosix
import Synchronization

@testable import HawserS3

/// A proxy as companies have them: takes CONNECT from who knows the password, and passes on what it can't read.
final class TunnelProxy: Sendable {
    private typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    private let port: Int
    private let authorization: String
    private let log = Mutex<[String]>([])

    private init(port: Int, authorization: String) {
        self.port = port
        self.authorization = authorization
    }

    /// What was asked for, also in vain.
    var targets: [String] { log.withLock { $0 } }

    func proxy(user: String, password: String) -> HTTPProxy {
        HTTPProxy(host: "127.0.0.1", port: port, user: user, password: .init(Array(password.utf8)))
    }

    /// - Parameter authorization: base64 of `user:password`.
    static func run(authorization: String, _ body: (TunnelProxy) async throws -> Void) async throws {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
            }
        let proxy = TunnelProxy(port: channel.channel.localAddress?.port ?? 0, authorization: authorization)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await channel.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await connection in connections {
                            group.addTask { try? await proxy.serve(connection) }
                        }
                    }
                }
            }
            defer { group.cancelAll() }
            try await body(proxy)
        }
    }

    private func serve(_ connection: Connection) async throws {
        try await connection.executeThenClose { inbound, outbound in
            var iterator = inbound.makeAsyncIterator()
            var head = ""
            while !head.hasSuffix("\r\n\r\n"), let buffer = try await iterator.next() { head += String(buffer: buffer) }
            let target = head.split(separator: " ").dropFirst().first ?? ""
            log.withLock { $0.append(String(target)) }
            guard head.hasPrefix("CONNECT "), head.contains("Basic \(authorization)\r\n") else {
                let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
                return try await outbound.write(ByteBuffer(string: refusal))
            }
            let place = target.split(separator: ":")
            let storage = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connect(host: String(place[0]), port: Int(place[1]) ?? 0) { channel in
                    channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
                }
            try await outbound.write(ByteBuffer(string: "HTTP/1.1 200 Connection established\r\n\r\n"))
            try await storage.executeThenClose { answers, requests in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { for try await buffer in answers { try await outbound.write(buffer) } }
                    while let buffer = try await iterator.next() { try await requests.write(buffer) }
                    group.cancelAll()
                }
            }
        }
    }
}
