import AsyncHTTPClient
import HawserFormat
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// HTTP/1.1 over TLS 1.3 with the pinned authorities as the only trust roots.
///
/// It has a client of its own: what a client resolves a name to is fixed when it is made, and data must not wait for
/// control, nor control for data.
package final class HTTPControlTransport: ControlTransport {
    private let client: HTTPClient
    private let base: String
    private let longestLine: Int

    // A gateway that does not answer within that is tried again later; the next one is tried before.
    private static let connectTimeout = TimeAmount.seconds(10)
    // As long as the event stream may be silent; three of its heartbeats.
    private static let readTimeout = TimeAmount.seconds(60)
    private static let answerTimeout = TimeAmount.seconds(30)

    /// - Parameters:
    ///   - serverName: in the certificate of the provider's server, and how the gateway knows it.
    ///   - authorities: certificates in DER.
    ///   - longestLine: of a stream, bytes.
    /// - Throws: `damaged` when these are no certificates.
    package init(
        _ gateway: GatewayAddress,
        serverName: String,
        authorities: [Data],
        longestLine: Int = ControlAPI.largestAnswer
    ) throws {
        self.longestLine = longestLine
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        tls.trustRoots = .certificates(try Self.certificates(authorities))
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls,
            redirectConfiguration: .disallow,
            timeout: .init(connect: Self.connectTimeout, read: Self.readTimeout),
            decompression: .disabled
        )
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        configuration.dnsOverride = [serverName: gateway.host]
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
        base = "https://\(serverName):\(gateway.port)"
    }

    deinit {
        // One that is dropped without being shut down traps. It keeps itself until it is done.
        client.shutdown { _ in }
    }

    static func certificates(_ authorities: [Data]) throws -> [NIOSSLCertificate] {
        do {
            return try authorities.map { try NIOSSLCertificate(bytes: [UInt8]($0), format: .der) }
        } catch {
            throw HawserError(
                .damaged,
                "An authority of the provider is no certificate: ask the provider for a new join string.",
                cause: error
            )
        }
    }

    @concurrent
    package func send(_ request: ControlRequest) async throws -> Data {
        do {
            let response = try await client.execute(prepared(request), timeout: Self.answerTimeout)
            return try await Self.success(response)
        } catch {
            throw controlTransportError(error)
        }
    }

    @concurrent
    package func follow(_ request: ControlRequest, onLine: @Sendable (Data) async throws -> Void) async throws {
        do {
            let response = try await client.execute(prepared(request), timeout: Self.answerTimeout)
            guard response.status.isSuccess else {
                _ = try await Self.success(response)
                return
            }
            var lines = LineSplitter(longest: longestLine)
            for try await buffer in response.body {
                for line in try lines.add(buffer.readableBytesView) { try await onLine(line) }
            }
        } catch {
            throw controlTransportError(error)
        }
    }

    package func shutdown() async {
        try? await client.shutdown()
    }

    private func prepared(_ request: ControlRequest) -> HTTPClientRequest {
        var prepared = HTTPClientRequest(url: base + request.path)
        prepared.method = HTTPMethod(rawValue: request.method.rawValue)
        prepared.headers.add(name: "user-agent", value: "hawser")
        if let token = request.token { prepared.headers.add(name: "authorization", value: "Bearer " + token) }
        if let body = request.body {
            prepared.headers.add(name: "content-type", value: "application/json")
            prepared.body = .bytes(ByteBuffer(bytes: body))
        }
        return prepared
    }

    private static func success(_ response: HTTPClientResponse) async throws -> Data {
        let body = Data(try await response.body.collect(upTo: ControlAPI.largestAnswer).readableBytesView)
        guard response.status.isSuccess else {
            throw ControlFailure.error(
                status: Int(response.status.code),
                body: body,
                retryAfter: response.headers.first(name: "retry-after").flatMap(Double.init)
            )
        }
        return body
    }
}

extension HTTPResponseStatus {
    fileprivate var isSuccess: Bool { (200..<300).contains(code) }
}

/// What a failure below HTTP means for who asked. What is not known is taken as a failure of the network, which passes.
func controlTransportError(_ error: any Error) -> any Error {
    switch error {
    // Also what a line's reader throws.
    case is CancellationError, is HawserError, is ProviderConnection.Reconnect:
        return error
    // The client has an error of its own for that.
    case _ where Task.isCancelled:
        return CancellationError()
    case let error as NIOSSLError:
        switch error {
        case .handshakeFailed(.sslError(let stack)) where !stack.contains(.eofDuringHandshake): return untrusted(error)
        case .unableToValidateCertificate, .noCertificateToValidate: return untrusted(error)
        default: return broken(error)
        }
    case is NIOSSLExtraError:
        return untrusted(error)
    case is NIOTooManyBytesError:
        return ControlFailure.garbled("answer: it is too long")
    default:
        return broken(error)
    }
}

private func broken(_ error: any Error) -> HawserError {
    HawserError(
        .unavailable,
        "The provider can't be reached through this gateway. Check its address, the network, and firewalls on the way.",
        cause: error,
        isRetryable: true
    )
}

// Worth a try with the next gateway, since an address can have come to belong to somebody else.
private func untrusted(_ error: any Error) -> HawserError {
    HawserError(
        .unavailable,
        "The certificate of what answers for the provider is not vouched for by an authority that this machine trusts. After "
            + "the provider has changed his authority, or where a proxy opens TLS: ask for a new join string, and have the proxy "
            + "leave this connection alone.",
        cause: error,
        isRetryable: true
    )
}
