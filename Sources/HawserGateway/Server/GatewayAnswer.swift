import HTTPTypes
import HawserControl
import HawserFormat
import HummingbirdCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An answer that is no object.
struct GatewayAnswer: Sendable {
    var status: HTTPResponse.Status
    var headers: HTTPFields = [:]
    var body: ByteBuffer?
    /// The answer to a HEAD has none, and its length is the object's.
    var hasBody = true
    var closes = false

    init(_ status: HTTPResponse.Status) {
        self.status = status
    }

    init(_ value: some Encodable) throws {
        status = .ok
        headers[.contentType] = "application/json"
        body = ByteBuffer(bytes: try JSONEncoder().encode(value))
    }

    init(_ problem: ControlProblem) {
        status = HTTPResponse.Status(code: problem.statusCode)
        headers[.contentType] = "application/json"
        body = (try? JSONEncoder().encode(problem)).map { ByteBuffer(bytes: $0) }
        if let seconds = problem.retryAfter { headers[.retryAfter] = "\(Int(min(seconds, 86_400).rounded(.up)))" }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
    }

    @concurrent
    func write(_ writer: consuming ResponseWriter) async throws {
        var fields = headers
        fields[.cacheControl] = "no-store"
        if closes { fields[.connection] = "close" }
        guard hasBody else {
            if fields[.contentLength] == nil { fields[.contentLength] = "0" }
            try await writer.writeResponse(HTTPResponse(status: status, headerFields: fields))
            return
        }
        fields[.contentLength] = "\(body?.readableBytes ?? 0)"
        let head = HTTPResponse(status: status, headerFields: fields)
        try await writer.write(response: head, body: body.map { ResponseBody(byteBuffer: $0) } ?? ResponseBody())
    }
}
