import AsyncHTTPClient
import Glibc
import HawserControl
public import HawserFormat
import NIOCore
import NIOHTTP1

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Speaks to the running server for the provider's commands.
public struct AdminClient: AdminTransport {
    private let client: HTTPClient
    private let path: String

    /// - Parameter socket: path of the server's admin socket.
    public static func withClient<Result>(
        socket: String,
        _ body: (AdminClient) async throws -> Result
    ) async throws -> Result {
        try await HTTPClient.withHTTPClient { client in
            try await body(AdminClient(client: client, path: socket))
        }
    }

    // A command that lists a storage takes its time.
    private static let timeout = TimeAmount.minutes(30)
    // A list of all folders, deletions or sessions of a very large provider; one has less than 1 KiB.
    private static let largestAnswer = 1 << 30

    /// - Throws: the server's own error; `noServer` when none answers there.
    public func perform(_ operation: String, _ body: Data) async throws -> Data {
        guard let url = URL(httpURLWithSocketPath: path, uri: AdminListener.root + operation) else {
            throw HawserError(.invalidArgument, "This is no path of a socket.", place: path)
        }
        var message = HTTPClientRequest(url: url.absoluteString)
        message.method = .POST
        message.headers.add(name: "content-type", value: "application/json")
        message.body = .bytes(ByteBuffer(bytes: body))
        do {
            let response = try await client.execute(message, timeout: Self.timeout)
            let answer = try await response.body.collect(upTo: Self.largestAnswer)
            guard response.status == .ok else {
                throw try RequestReader.decode(ControlProblem.self, answer).error
            }
            return Data(answer.readableBytesView)
        } catch let error as HawserError {
            throw error
        } catch {
            throw failure(error)
        }
    }

    /// Only who finds nobody at the socket may do without the server: one that is silent or busy still writes.
    private func failure(_ error: any Error) -> HawserError {
        switch (error as? IOError)?.errnoCode {
        case ECONNREFUSED, ENOENT:
            HawserError(
                .noServer,
                "The server does not answer on its admin socket. Is `hawser-provider serve` running?",
                place: path,
                cause: error
            )
        case EACCES, EPERM:
            HawserError(
                .accessDenied,
                "The server's admin socket is closed to you. Run the command as the user of the server.",
                place: path,
                cause: error
            )
        default:
            HawserError(
                .unavailable,
                "The server's answer on its admin socket did not come or can't be used. Look at the server's log.",
                place: path,
                cause: error,
                isRetryable: true
            )
        }
    }
}

extension HawserError.Code {
    /// No server answers on the admin socket.
    public static let noServer = Self("no_server")
}
