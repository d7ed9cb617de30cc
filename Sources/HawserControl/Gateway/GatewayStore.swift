import AsyncHTTPClient
public import HawserFormat
public import HawserStorage
public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Objects behind a provider's gateway server: those of one session in one repository, for which a grant's token stands.
///
/// A request goes through the cloud gateway that answered last, and through the next one when that does not answer: a put
/// that is sent again finds what the first has stored. When the gateway server does not know the token any more
/// (`notSignedIn`), another grant is to be asked for. Deletions are asked of the provider's server.
public final class GatewayStore: ObjectStore {
    // A gateway that does not answer within that is passed over.
    private static let connectTimeout = TimeAmount.seconds(10)
    // Longer than any server that works thinks about one request.
    private static let standstill = Duration.seconds(60)
    // At one time, through one gateway; the others wait.
    private static let connections = 16

    let clients: [HTTPClient]
    let base: [String]
    let token: String
    let logger: Logger
    let watch: ProgressWatch
    let slots = AsyncSemaphore(total: GatewayStore.connections)
    let current = Atomic(0)

    /// - Parameters:
    ///   - gateways: The cloud gateways, the one to be tried first at the front.
    ///   - serverName: `Grant.gatewayServer`.
    ///   - token: `Grant.gatewayToken`.
    ///   - authorities: Certificates (DER) of the provider's authorities, the only ones that are trusted.
    /// - Throws: `damaged` when these are no certificates, `invalidArgument` without a gateway.
    public init(
        gateways: [GatewayAddress],
        serverName: String,
        token: String,
        authorities: [Data],
        logger: Logger = Logger(label: "hawser.gateway")
    ) throws {
        guard !gateways.isEmpty, DomainName.isValid(serverName) else {
            throw HawserError(.invalidArgument, "The provider named no gateway, or a gateway server that is none.")
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        tls.trustRoots = .certificates(try HTTPControlTransport.certificates(authorities))
        // What a client resolves a name to is fixed when it is made.
        clients = gateways.map { gateway in
            var configuration = HTTPClient.Configuration(
                tlsConfiguration: tls,
                redirectConfiguration: .disallow,
                timeout: .init(connect: Self.connectTimeout),
                connectionPool: .init(
                    idleTimeout: .seconds(15),
                    concurrentHTTP1ConnectionsPerHostSoftLimit: Self.connections
                ),
                decompression: .disabled
            )
            configuration.connectionPool.retryConnectionEstablishment = false
            configuration.httpVersion = .http1Only
            configuration.dnsOverride = [serverName: gateway.host]
            return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
        }
        base = gateways.map { "https://\(serverName):\($0.port)" }
        self.token = token
        self.logger = logger
        watch = ProgressWatch(limit: Self.standstill, clock: ContinuousClock())
    }

    deinit {
        // One that is dropped without being shut down traps. When it was, this does nothing.
        for client in clients { client.shutdown { _ in } }
    }

    /// Closes all connections; requests that run fail.
    public func shutdown() async {
        for client in clients { try? await client.shutdown() }
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        guard (1...maximumObjectLength).contains(bytes.count) else {
            throw HawserError(.invalidArgument, "An object has 1 to \(maximumObjectLength) bytes.", place: key.path)
        }
        let answer = try await send(
            Outgoing(.PUT, GatewayAPI.object(key.path), [(GatewayAPI.sha256, sha256.hex)], body: bytes),
            place: key.path,
            atMost: 0
        )
        return answer.status == .created ? .created : .existed
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        if let range, range.isEmpty || range.lowerBound < 0 || range.count > maximumObjectLength {
            throw HawserError(
                .invalidArgument,
                "\(range.lowerBound)..<\(range.upperBound) is not a range of an object.",
                place: key.path
            )
        }
        var request = Outgoing(.GET, GatewayAPI.object(key.path))
        if let range { request.headers.append(("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")) }
        let answer = try await send(request, place: key.path, atMost: range?.count ?? maximumObjectLength)
        guard answer.status == (range == nil ? .ok : .partialContent),
            answer.body.count == range?.count ?? answer.body.count
        else { throw ControlFailure.garbled("object") }
        return answer.body
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        let answer = try await send(Outgoing(.HEAD, GatewayAPI.object(key.path)), place: key.path, atMost: 0)
        if answer.status == .notFound { return nil }
        guard let length = answer.headers.first(name: "content-length").flatMap({ Int($0) }),
            (0...maximumObjectLength).contains(length)
        else { throw ControlFailure.garbled("length of an object") }
        return ObjectInfo(
            key: key,
            length: length,
            stored: answer.headers.first(name: GatewayAPI.stored).flatMap { Int64($0) }.map { Timestamp(seconds: $0) }
        )
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        guard (1...ObjectListing.pageSize).contains(limit) else {
            throw HawserError(.invalidArgument, "A list has 1 to \(ObjectListing.pageSize) objects, not \(limit).")
        }
        // What is no beginning of a key of the grammar has no objects, and can't be asked for.
        guard prefix.utf8.allSatisfy({ Self.isOfKey($0) }), prefix.utf8.count <= 256 else { return [] }
        var path = "\(GatewayAPI.objects)?limit=\(limit)&prefix=\(prefix)"
        if let after { path += "&after=\(after.path)" }
        let answer = try await send(Outgoing(.GET, path), place: prefix, atMost: ControlAPI.largestAnswer)
        guard let listing = try? JSONDecoder().decode(ListingAnswer.self, from: Data(answer.body)),
            listing.objects.count <= limit
        else { throw ControlFailure.garbled("listing") }
        return try listing.objects.map { item in
            guard let key = ObjectKey(item.key), item.length >= 0 else { throw ControlFailure.garbled("listing") }
            let stored = item.stored.flatMap { Int64(exactly: $0.rounded()) }
            return ObjectInfo(key: key, length: item.length, stored: stored.map { Timestamp(seconds: $0) })
        }
    }

    /// - Throws: `unsupported`: the provider's server deletes.
    public func delete(_ keys: [ObjectKey]) async throws {
        throw HawserError(
            .unsupported,
            "A gateway server deletes nothing. Deletions are asked of the provider's server."
        )
    }

    private static func isOfKey(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F: true
        default: false
        }
    }
}
