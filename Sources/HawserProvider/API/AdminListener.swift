import CHawser
import HTTPTypes
import HawserControl
import HawserFormat
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Takes the provider's commands on a Unix socket: `POST /admin/v1/OPERATION`. Who may open the socket's file may do
/// everything, so it is the owner's alone.
struct AdminListener: Service {
    // Commands send a few fields; one that names many objects has some hundred KiB.
    static let largestRequest = 4 << 20
    static let root = "/admin/v1/"

    let path: String
    let transport: any AdminTransport
    let logger: Logger

    func run() async throws {
        // sockaddr_un holds 108 bytes with the zero.
        guard path.utf8.count < 104 else {
            throw HawserError(
                .invalidArgument,
                "The path of the admin socket is too long for a Unix socket (103 bytes). Choose a shorter data folder.",
                place: path
            )
        }
        // NIO removes the name that it has bound, whoever's file is there at the end: so it has one of its own, no
        // longer than the socket's.
        let name = parentFolder(of: path) + "/." + String(getpid(), radix: 36)
        let bound = Mutex<UInt64?>(nil)
        let trouble = Mutex<(any Error)?>(nil)
        let server = Server(
            childChannelSetup: HTTP1Channel(
                responder: { request, writer, _ in try await respond(request, writer) },
                configuration: .init(idleTimeout: .seconds(60))
            ),
            configuration: ServerConfiguration(address: .unixDomainSocket(path: name)),
            onServerRunning: { channel in
                bound.withLock { $0 = Self.file(name) }
                do {
                    try publish(name)
                } catch {
                    trouble.withLock { $0 = error }
                    // Ends the server.
                    channel.close(promise: nil)
                }
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        // A server that has taken over has a socket of its own there.
        defer { if let own = bound.withLock({ $0 }), Self.file(path) == own { unlink(path) } }
        try await server.run()
        if let error = trouble.withLock({ $0 }) { throw error }
    }

    private static func file(_ path: String) -> UInt64? {
        var status = hawser_file_status()
        return hawser_file_status(AT_FDCWD, path, 0, &status) == 0 ? status.inode : nil
    }

    private func publish(_ name: String) throws {
        // Between bind and here the folder's own mode (0700) keeps others out.
        guard chmod(name, 0o600) == 0, rename(name, path) == 0 else {
            throw fileError("The admin socket can't be made", path)
        }
    }

    @concurrent
    private func respond(_ request: Request, _ writer: consuming ResponseWriter) async throws {
        try await answer(request).write(writer)
    }

    private func answer(_ request: Request) async -> ControlAnswer {
        let target = request.head.path ?? ""
        let operation = String(target.dropFirst(Self.root.utf8.count))
        do {
            guard target.hasPrefix(Self.root), request.method == .post else {
                throw HawserError(.notFound, "Commands are POST \(Self.root)OPERATION.")
            }
            let body = try await request.body.collect(upTo: Self.largestRequest)
            var answer = ControlAnswer(.ok)
            answer.body = ByteBuffer(bytes: try await transport.perform(operation, Data(body.readableBytesView)))
            answer.headers[.contentType] = "application/json"
            return answer
        } catch {
            // Whoever asks owns the server: nothing is kept back.
            let known = error as? HawserError ?? HawserError(.internalError, "\(error)")
            logger.notice(
                "Command refused",
                metadata: ["operation": "\(operation.prefix(64))", "code": "\(known.code)"]
            )
            var problem = ControlProblem(known.code, "\(known)")
            problem.retryAfter = known.isRetryable ? (known.retryAfter ?? .seconds(1)) / .seconds(1) : nil
            return ControlAnswer(problem)
        }
    }
}
