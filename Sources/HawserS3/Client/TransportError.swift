import AsyncHTTPClient
import HawserFormat
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a failure below HTTP means for who asked.
///
/// Whatever is not known is taken as a failure of the network, which passes.
func transportError(_ error: any Error) -> any Error {
    switch error {
    case is CancellationError, is HawserError, is S3Failure:
        return error
    case let error as HTTPClientError:
        return clientError(error)
    case let error as NIOSSLError:
        return tlsError(error)
    case is NIOSSLExtraError:
        return untrusted(error)
    case let error as NIOConnectionError:
        return unreachable("The storage can't be reached at \(error.host), port \(error.port).", error)
    // Of an address that needed no look-up.
    case let error as IOError where unreachableCodes.contains(error.errnoCode):
        return unreachable("The storage can't be reached.", error)
    default:
        return HawserError(
            .unavailable,
            "The connection to the storage broke.",
            cause: error,
            isRetryable: true
        )
    }
}

private func clientError(_ error: HTTPClientError) -> HawserError {
    switch error {
    case .connectTimeout, .getConnectionFromPoolTimeout, .tlsHandshakeTimeout, .httpProxyHandshakeTimeout:
        HawserError(
            .unavailable,
            "The storage can't be reached: no connection in time. Check its address and the network.",
            cause: error,
            isRetryable: true
        )
    case .proxyAuthenticationRequired:
        HawserError(.accessDenied, "The proxy wants user and password. Give them in its URL.", cause: error)
    case .invalidProxyResponse:
        HawserError(
            .unavailable,
            "The proxy does not connect to the storage. Check the proxy of the environment, or unset it.",
            cause: error
        )
    case .invalidURL, .emptyHost, .emptyScheme:
        HawserError(.invalidArgument, "This is not the URL of a storage.", cause: error)
    case .alreadyShutdown:
        HawserError(.unavailable, "The store has been shut down; no requests can be made.", cause: error)
    default:
        HawserError(.unavailable, "The connection to the storage broke.", cause: error, isRetryable: true)
    }
}

private func tlsError(_ error: NIOSSLError) -> HawserError {
    switch error {
    case .handshakeFailed(.sslError(let stack)) where !stack.contains(.eofDuringHandshake):
        untrusted(error)
    case .unableToValidateCertificate, .noCertificateToValidate, .cannotMatchULabel:
        untrusted(error)
    default:
        HawserError(.unavailable, "The TLS connection to the storage broke.", cause: error, isRetryable: true)
    }
}

private func untrusted(_ error: any Error) -> HawserError {
    HawserError(
        .accessDenied,
        "The storage's certificate can't be trusted, or it does not speak TLS. Check the URL; for a certificate of your own "
            + "give the authority's file.",
        cause: error
    )
}

private let unreachableCodes: Set<CInt> = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, ETIMEDOUT]

private func unreachable(_ message: String, _ error: any Error) -> HawserError {
    HawserError(
        .unavailable,
        message + " Check its address and the network.",
        cause: error,
        isRetryable: true
    )
}
