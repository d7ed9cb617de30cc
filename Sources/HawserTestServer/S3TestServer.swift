import HawserFormat
import HawserTesting
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization

/// A server for tests that speaks S3 and STS: it checks signatures, rights and conditions for real, keeps objects in
/// memory or in a folder, and fails as a script says.
///
/// ```swift
/// try await withS3TestServer { server in
///     server.add(ServerFault(.answer(.slowDown(retryAfter: "1")), on: [.put], occurrence: .first(2)))
///     … // a client of `server.endpoint`
///     try server.verifyAllFired()
///     #expect(server.counts[.put] == 3)
/// }
/// ```
///
/// It has what a client needs that stores whole objects: no signed chunks or trailers, no copies. Versions and
/// unfinished uploads can be listed and deleted, and that is all. It listens on 127.0.0.1 only.
public final class S3TestServer: Sendable {
    /// The port that it listens on, chosen by the system unless the configuration has one.
    public let port: Int
    public let configuration: Configuration
    /// In PEM, for a client to trust; `nil` without TLS, and with certificates of the caller's.
    public let certificate: String?
    let service: S3Service

    fileprivate init(port: Int, certificate: String?, service: S3Service) {
        self.port = port
        self.certificate = certificate
        self.service = service
        configuration = service.configuration
    }

    /// As `http://127.0.0.1:12345`; S3 and STS are both there.
    public var endpoint: String {
        (configuration.security == .none ? "http" : "https") + "://127.0.0.1:\(port)"
    }

    // MARK: Faults

    /// From now on, requests that match fail as the fault says.
    public func add(_ fault: ServerFault) { service.faults.add(fault) }

    public func removeFaults() { service.faults.removeAll() }

    /// Names of the faults that happened, with how often.
    public var fired: [String: Int] { service.faults.fired }

    /// Throws `ContractViolation` naming the faults that never happened: the test did not test them.
    public func verifyAllFired() throws {
        let missing = service.faults.neverFired
        guard missing.isEmpty else {
            throw ContractViolation("Faults that never happened: \(missing.joined(separator: "; "))")
        }
    }

    // MARK: Requests

    public var counts: RequestCounts { service.log.counts }

    /// The latest requests, oldest first, in the order in which they were answered.
    public var requests: [RequestRecord] { service.log.records }

    /// Begins anew with counts and requests.
    public func resetCounts() { service.log.reset() }

    /// Connections that ever came, and that are open.
    public var connections: (opened: Int, open: Int) { (service.connections.opened, service.connections.open) }

    // MARK: Keys

    /// Access keys of the sessions given out by STS, oldest first.
    public var sessions: [String] { service.accounts.sessions }

    /// Of a user, or of a session; `nil` when there is no such key.
    public func secret(of accessKeyID: String) -> String? { service.accounts.account(accessKeyID)?.secretAccessKey }

    /// A session's token has expired from now on.
    public func expire(_ accessKeyID: String) { service.accounts.expire(accessKeyID, at: configuration.now()) }

    /// A key, a user's or a session's, is not known any more.
    public func revoke(_ accessKeyID: String) { service.accounts.revoke(accessKeyID) }
}

/// Runs a server for the time of `body`. All its connections are closed when this returns.
public func withS3TestServer<Result>(
    _ configuration: S3TestServer.Configuration = .init(),
    _ body: (S3TestServer) async throws -> Result
) async throws -> Result {
    let service = try await S3Service(configuration)
    let tls = try TLSFiles(configuration.security)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let channel = HTTPServerBuilder.http1(
        configuration: .init(additionalChannelHandlers: [Connections.Handler(service.connections)])
    )
    let builder = try tls.map { try HTTPServerBuilder.tls(channel, tlsConfiguration: $0.configuration) } ?? channel
    let listener = try builder.buildServer(
        configuration: ServerConfiguration(address: .hostname("127.0.0.1", port: configuration.port)),
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        logger: Logger(label: "s3-test-server") { _ in SwiftLogNoOpLogHandler() }
    ) { (request, writer: consuming ResponseWriter, channel) in
        try await service.respond(request, writer, channel)
    } onServerRunning: { channel in
        running.yield(channel.localAddress?.port ?? 0)
    }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            // Also when it could not start, so that nobody waits for the port.
            defer { running.finish() }
            try await listener.run()
        }
        guard let port = await ports.first(where: { _ in true }) else {
            try await group.waitForAll()
            throw HawserError(.unavailable, "The test server ended before it listened.")
        }
        let server = S3TestServer(port: port, certificate: tls?.certificate, service: service)
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(server))
        } catch {
            result = .failure(error)
        }
        group.cancelAll()
        service.connections.closeAll()
        // Ends with the cancellation.
        try? await group.waitForAll()
        return try result.get()
    }
}
