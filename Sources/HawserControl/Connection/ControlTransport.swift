import HawserFormat

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// A request of the control protocol.
package struct ControlRequest: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case delete = "DELETE"
    }

    package var method: Method
    package var path: String
    /// JSON.
    package var body: Data?
    /// Of the session.
    package var token: String?

    package static func get(_ path: String) -> ControlRequest { ControlRequest(method: .get, path: path) }
    package static func delete(_ path: String) -> ControlRequest { ControlRequest(method: .delete, path: path) }

    package static func post(_ path: String, _ body: (some Encodable)? = Optional<Bool>.none) throws -> ControlRequest {
        ControlRequest(method: .post, path: path, body: try body.map { try JSONEncoder().encode($0) })
    }
}

/// The way to a provider's server through one cloud gateway.
///
/// Errors are `HawserError`s (retryable ones of the code `unavailable` say that the way is broken), or
/// `CancellationError`. Nothing is tried twice here.
package protocol ControlTransport: Sendable {
    /// The body of the answer. Every answer but a success is thrown, as what its `ControlProblem` says.
    func send(_ request: ControlRequest) async throws -> Data

    /// Calls `onLine` for each line of a stream, one after the other, and returns at its end.
    func follow(_ request: ControlRequest, onLine: @Sendable (Data) async throws -> Void) async throws

    /// Closes all connections.
    func shutdown() async
}

enum ControlFailure {
    /// What an answer means that is no success.
    ///
    /// - Parameter retryAfter: seconds, of the header.
    static func error(status: Int, body: Data, retryAfter: Double? = nil) -> HawserError {
        if var problem = try? JSONDecoder().decode(ControlProblem.self, from: body) {
            problem.retryAfter = problem.retryAfter ?? retryAfter
            return problem.error
        }
        // Not our server's words: a proxy's on the way, or a crash.
        return HawserError(
            .unavailable,
            "What answers for the provider's server is something else (HTTP \(status)). Check the gateways' address, and proxies "
                + "on the way.",
            isRetryable: status >= 500 || status == 429,
            retryAfter: retryAfter.map { Duration(saidSeconds: $0) }
        )
    }

    static func garbled(_ what: String, cause: (any Error)? = nil) -> HawserError {
        HawserError(
            .unavailable,
            "The provider's server sent something that is no \(what). Is it newer than this program?",
            cause: cause,
            isRetryable: true
        )
    }
}

extension ControlTransport {
    package func call<Answer: Decodable>(_ request: ControlRequest, as type: Answer.Type = Answer.self) async throws
        -> Answer
    {
        let body = try await send(request)
        do {
            return try JSONDecoder().decode(type, from: body)
        } catch {
            throw ControlFailure.garbled("answer", cause: error)
        }
    }
}
