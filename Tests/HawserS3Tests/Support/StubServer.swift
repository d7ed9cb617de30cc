import HawserTesting
import NIOCore
import NIOPosix
import Synchronization

@testable import HawserS3

/// A server that reads HTTP/1.1 requests and sends exactly the bytes that a test says: what no real server can be made
/// to do.
final class StubServer: Sendable {
    struct Request: Sendable {
        var method: String
        var target: String
        /// Names in small letters.
        var headers: [String: String]
        var body: [UInt8] = []
        /// Counted from 1, of this server.
        var number: Int

        var path: String { String(target.split(separator: "?", maxSplits: 1)[0]) }
        var query: String { String(target.split(separator: "?", maxSplits: 1).dropFirst().first ?? "") }
    }

    enum Reaction: Sendable {
        /// Content-Length is added.
        case answer(Int, [String: String] = [:], body: [UInt8] = [])
        /// These bytes; then the connection is closed.
        case bytes([UInt8])
        case close
        /// Nothing until the gate opens; then the connection is closed.
        case hold(Gate)
        /// These bytes, and the next ones when the gate opens; then the connection is closed.
        case parts([UInt8], Gate, [UInt8])

        static func error(_ status: Int, _ code: String, _ headers: [String: String] = [:], _ more: String = "") -> Self
        {
            let text =
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>\(code)</Code><Message>Words.</Message>\(more)"
                + "<RequestId>tx1</RequestId></Error>"
            return .answer(status, ["content-type": "application/xml"].merging(headers) { $1 }, body: Array(text.utf8))
        }

        static let stored = Reaction.answer(200, ["etag": "\"0\""])
    }

    typealias React = @Sendable (Request) async throws -> Reaction

    let port: Int
    private let log = Mutex<[Request]>([])

    private init(port: Int) {
        self.port = port
    }

    var requests: [Request] { log.withLock { $0 } }
    var endpoint: S3Endpoint { S3Endpoint(host: "127.0.0.1", port: port, isSecure: false) }

    /// What goes wrong below HTTP.
    struct Trouble: Sendable {
        /// After how many bytes of a connection, counted from 1, it is closed; `nil`: never.
        var cut: @Sendable (_ connection: Int) -> Int? = { _ in nil }
        /// Sent instead of everything when the first bytes have come.
        var garbage: [UInt8]?
        /// Reacts when a request's head is there, without waiting for its body.
        var answersEarly = false
    }

    static func run(
        with trouble: Trouble = Trouble(),
        _ react: @escaping React,
        _ body: (StubServer) async throws -> Void
    ) async throws {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let server = StubServer(port: channel.channel.localAddress?.port ?? 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await channel.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { group in
                        var number = 0
                        for try await connection in connections {
                            number += 1
                            let limit = trouble.cut(number)
                            group.addTask {
                                try? await server.serve(connection, limit, trouble, react)
                            }
                        }
                    }
                }
            }
            defer { group.cancelAll() }
            try await body(server)
        }
    }

    private func serve(
        _ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>,
        _ limit: Int?,
        _ trouble: Trouble,
        _ react: React
    ) async throws {
        if limit == 0 { return try await connection.channel.close() }
        try await connection.executeThenClose { inbound, outbound in
            var received: [UInt8] = []
            var total = 0
            for try await buffer in inbound {
                received += buffer.readableBytesView
                total += buffer.readableBytes
                if let limit, total >= limit { return }
                if let garbage = trouble.garbage { return try await outbound.write(ByteBuffer(bytes: garbage)) }
                while let request = take(from: &received, trouble.answersEarly) {
                    guard try await perform(react(request), request, outbound) else { return }
                }
            }
        }
    }

    private func take(from received: inout [UInt8], _ answersEarly: Bool) -> Request? {
        guard let end = received.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: received[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = lines[0].split(separator: " ")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        let length = answersEarly ? 0 : headers["content-length"].flatMap { Int($0) } ?? 0
        guard received.count >= end.upperBound + length else { return nil }
        var request = Request(
            method: String(words[0]),
            target: String(words[1]),
            headers: headers,
            body: Array(received[end.upperBound..<end.upperBound + length]),
            number: 0
        )
        received.removeFirst(end.upperBound + length)
        request.number = log.withLock { log in
            request.number = log.count + 1
            log.append(request)
            return log.count
        }
        return request
    }

    /// Returns whether the connection stays open.
    private func perform(
        _ reaction: Reaction,
        _ request: Request,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws -> Bool {
        switch reaction {
        case .answer(let status, let headers, let body):
            try await outbound.write(
                ByteBuffer(bytes: Self.bytes(status, headers, body, isHead: request.method == "HEAD"))
            )
            return true
        case .bytes(let bytes):
            try await outbound.write(ByteBuffer(bytes: bytes))
            return false
        case .close:
            return false
        case .hold(let gate):
            try await gate.pass()
            return false
        case .parts(let first, let gate, let second):
            try await outbound.write(ByteBuffer(bytes: first))
            try await gate.pass()
            try await outbound.write(ByteBuffer(bytes: second))
            return false
        }
    }

    /// A whole answer on the wire.
    static func bytes(
        _ status: Int,
        _ headers: [String: String] = [:],
        _ body: [UInt8] = [],
        isHead: Bool = false
    ) -> [UInt8] {
        var headers = headers
        if headers["content-length"] == nil { headers["content-length"] = String(body.count) }
        let lines = ["HTTP/1.1 \(status) Text"] + headers.sorted { $0 < $1 }.map { "\($0.key): \($0.value)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (isHead ? [] : body)
    }
}
