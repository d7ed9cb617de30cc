import HawserMetrics
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

struct MetricsServerTests {
    /// Sends the bytes and reads until the server closes.
    private func exchange(_ request: String, at address: SocketAddress) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(to: address) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var answer = ""
            for try await part in inbound { answer += String(buffer: part) }
            return answer
        }
    }

    private func withServer(
        isReady: @escaping @Sendable () -> Bool = { true },
        _ body: (SocketAddress) async throws -> Void
    ) async throws {
        let (addresses, continuation) = AsyncStream.makeStream(of: SocketAddress.self)
        let server = MetricsServer(
            address: try SocketAddress(ipAddress: "127.0.0.1", port: 0),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            text: { "a 1\n" },
            isReady: isReady,
            onListening: { continuation.yield($0) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { continuation.finish() }
                try await server.run()
            }
            let address = try #require(await addresses.first { _ in true })
            try await body(address)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func metricsPage() async throws {
        try await withServer { address in
            let answer = try await exchange("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", at: address)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"))
            #expect(answer.hasSuffix("\r\n\r\na 1\n"))
        }
    }

    @Test func healthAndReadiness() async throws {
        let ready = Mutex(true)
        @Sendable func isReady() -> Bool { ready.withLock { $0 } }
        try await withServer(isReady: isReady) { address in
            let health = try await exchange("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", at: address)
            #expect(health.hasPrefix("HTTP/1.1 200 OK\r\n"))
            let first = try await exchange("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", at: address)
            #expect(first.hasPrefix("HTTP/1.1 200 OK\r\n"))
            ready.withLock { $0 = false }
            let second = try await exchange("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", at: address)
            #expect(second.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        }
    }

    @Test(arguments: [
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "405"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"), ("garbage\r\n\r\n", "400"),
    ])
    func otherRequests(request: String, status: String) async throws {
        try await withServer { address in
            let answer = try await exchange(request, at: address)
            #expect(answer.hasPrefix("HTTP/1.1 \(status)") || answer.hasPrefix("HTTP/1.0 \(status)"), "\(answer)")
        }
    }

    @Test func headHasNoBody() async throws {
        try await withServer { address in
            let answer = try await exchange("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", at: address)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n"))
        }
    }
}
