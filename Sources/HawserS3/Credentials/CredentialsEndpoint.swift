import AsyncHTTPClient
import HawserFormat
import NIOCore
import NIOHTTP1
import NIOPosix

/// Requests to endpoints that give credentials: small, to this machine or its host, never through a proxy.
enum CredentialsEndpoint {
    struct Answer {
        var status: Int
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// With an endpoint that is there. They ask others in turn; who waits longer has a job that stands still.
    static let patience = TimeAmount.seconds(60)

    // The process's, as these endpoints are its surroundings: it is never shut down, and its connections are few. A
    // proxy would see the credentials, and a redirect would send the token elsewhere.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout.connect = .seconds(2)
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
    }()

    /// - Throws: `unavailable` when there is no answer.
    static func ask(
        _ method: HTTPMethod,
        _ url: String,
        headers: [(String, String)] = [],
        timeout: TimeAmount
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: url)
        request.method = method
        request.headers = HTTPHeaders(headers)
        return try await client.smallAnswer(to: request, timeout: timeout)
    }
}

extension HTTPClient {
    // The longest documents, errors of STS included, have some kilobytes.
    private static var answerLimit: Int { 256 << 10 }

    /// - Throws: `unavailable` when there is no answer, or one that is too long.
    func smallAnswer(
        to request: HTTPClientRequest,
        timeout: TimeAmount
    ) async throws -> CredentialsEndpoint.Answer {
        do {
            let response = try await execute(request, timeout: timeout)
            let body = try await response.body.collect(upTo: Self.answerLimit)
            return CredentialsEndpoint.Answer(status: Int(response.status.code), body: Array(body.readableBytesView))
        } catch {
            try _Concurrency.Task.checkCancellation()
            var error = transportError(error)
            if var failure = error as? HawserError {
                failure.message = "No credentials came: " + failure.message
                failure.place = request.url
                error = failure
            }
            throw error
        }
    }
}
