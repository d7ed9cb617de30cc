import AsyncHTTPClient
import HawserFormat
import HawserStorage
import NIOCore
import NIOHTTP1

/// Sends signed requests and takes their answers in: the only place of the store where bytes move.
struct S3Transport: Sendable {
    let client: HTTPClient
    // The client fails requests that wait for a connection as long as making one may take. So they wait here.
    private let slots: AsyncSemaphore
    private let watch: ProgressWatch

    init(client: HTTPClient, connections: Int, idleTimeout: Duration, clock: any Clock<Duration>) {
        self.client = client
        slots = AsyncSemaphore(total: connections)
        watch = ProgressWatch(limit: idleTimeout, clock: clock)
    }

    /// - Parameters:
    ///   - sign: makes the request when its turn has come, so that its signature is fresh.
    ///   - plan: what is done with the body of a success; other answers are kept up to a limit.
    @concurrent
    func send<Signed: Sendable>(
        body: [UInt8],
        stream: S3StreamedBody? = nil,
        sign: @escaping @Sendable () async throws -> (HTTPClientRequest, Signed),
        plan: @escaping @Sendable (S3AnswerHead) throws -> S3BodyPlan
    ) async throws -> (S3Answer, Signed) {
        try await slots.withTaken {
            let (request, signed) = try await sign()
            let answer = try await watch.run { note in
                do {
                    return try await exchange(request, body, stream, plan, note)
                } catch {
                    try Task.checkCancellation()
                    throw transportError(error)
                }
            }
            return (answer, signed)
        }
    }

    /// An answer whose body is still to come. Who reads it is not counted among the store's connections, so that a slow
    /// reader holds nobody up; the client's read time-out ends one that the storage has forgotten.
    @concurrent
    func open<Signed: Sendable>(
        sign: @escaping @Sendable () async throws -> (HTTPClientRequest, Signed)
    ) async throws -> (HTTPClientResponse, Signed) {
        let (request, signed) = try await sign()
        let response = try await watch.run { _ in
            do {
                return try await client.execute(request, deadline: .distantFuture)
            } catch {
                try Task.checkCancellation()
                throw transportError(error)
            }
        }
        return (response, signed)
    }

    static func request(_ signed: SigV4Request, at location: S3Location) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: location.url(signed.target))
        request.method = HTTPMethod(rawValue: signed.method)
        request.headers = HTTPHeaders([("host", signed.host), ("user-agent", "hawser")] + signed.headers)
        return request
    }

    private func exchange(
        _ request: HTTPClientRequest,
        _ body: [UInt8],
        _ stream: S3StreamedBody?,
        _ plan: @Sendable (S3AnswerHead) throws -> S3BodyPlan,
        _ note: ProgressWatch.Note
    ) async throws -> S3Answer {
        var request = request
        if !body.isEmpty {
            request.body = .stream(UploadBody(body, note), length: .known(Int64(body.count)))
        }
        if let stream { request.body = stream.body(note) }
        // The watch knows no deadline, only standstill.
        let response = try await client.execute(request, deadline: .distantFuture)
        note()
        let head = S3AnswerHead(status: Int(response.status.code), headers: response.headers)
        var reader = S3BodyReader(try head.isSuccess ? plan(head) : .beginning(Self.longestError))
        for try await buffer in response.body {
            note()
            if try reader.add(buffer.readableBytesView) { break }
        }
        return S3Answer(head: head, body: try reader.finish())
    }

    // Errors of S3 have some hundred bytes; what is longer is somebody's web page, of which the beginning will do.
    static let longestError = 32 << 10
}
