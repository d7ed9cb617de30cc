public import AsyncHTTPClient
import HawserFormat
import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An HTTP client that ends with its owner: one that is dropped without being shut down traps.
final class OwnedHTTPClient: Sendable {
    let client: HTTPClient

    init(_ configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }

    /// Closes all connections; requests that run fail. Once is enough; later calls do nothing.
    func shutdown() async {
        try? await client.shutdown()
    }

    deinit {
        // The client keeps itself until it is done. When it was shut down before, this does nothing.
        client.shutdown { _ in }
    }
}

extension HTTPClient.Configuration {
    /// What an S3 store needs of its client; also for a client of your own, which a program shares among stores.
    ///
    /// Redirects are the store's, HTTP/2 costs speed with large bodies, and repeating is a layer's above.
    ///
    /// - Throws: `invalidArgument` when certificate authorities can't be used.
    public init(_ configuration: S3Configuration) throws {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let file = configuration.certificateAuthorities {
            let certificates = try Self.certificates(file) { try NIOSSLCertificate.fromPEMFile(file) }
            tls.additionalTrustRoots.append(.certificates(certificates))
        }
        if let bytes = configuration.trustedCertificates {
            let certificates = try Self.certificates(nil) { try NIOSSLCertificate.fromPEMBytes(bytes) }
            tls.additionalTrustRoots.append(.certificates(certificates))
        }
        self.init(
            tlsConfiguration: tls,
            redirectConfiguration: .disallow,
            timeout: Timeout(connect: TimeAmount(configuration.timeouts.connect)),
            // Most servers keep idle connections for longer; one that is closed just when it is used costs a retry.
            connectionPool: ConnectionPool(
                idleTimeout: .seconds(15),
                concurrentHTTP1ConnectionsPerHostSoftLimit: configuration.connections
            ),
            proxy: configuration.proxy.map(Proxy.init),
            decompression: .disabled
        )
        connectionPool.retryConnectionEstablishment = false
        httpVersion = .http1Only
        http1_1ConnectionDebugInitializer = Self.limitUnsentBytes
    }

    private static func certificates(
        _ file: String?,
        _ load: () throws -> [NIOSSLCertificate]
    ) throws -> [NIOSSLCertificate] {
        do {
            let certificates = try load()
            guard certificates.isEmpty else { return certificates }
            throw NIOSSLError.failedToLoadCertificate
        } catch {
            throw HawserError(
                .invalidArgument,
                "The certificate authorities can't be read: there must be certificates in PEM.",
                place: file,
                cause: error
            )
        }
    }

    /// Has the kernel take bytes only a little ahead of the network. Otherwise it takes megabytes at once, and on a slow
    /// link nobody sees for minutes whether they move.
    private static let limitUnsentBytes: @Sendable (any Channel) -> EventLoopFuture<Void> = { channel in
        channel.setOption(
            ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_NOTSENT_LOWAT)),
            value: unsentBytes
        )
    }

    // As much as one piece of an upload: enough to keep a link busy until the next piece comes.
    private static let unsentBytes = 128 << 10
}

extension HTTPClient.Configuration.Proxy {
    fileprivate init(_ proxy: HTTPProxy) {
        self = .server(host: proxy.host, port: proxy.port)
        if let user = proxy.user {
            let password = proxy.password.map { String(decoding: $0.bytes, as: UTF8.self) } ?? ""
            authorization = .basic(username: user, password: password)
        }
    }
}
