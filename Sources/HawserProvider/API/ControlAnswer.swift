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

/// An answer that is not a stream.
struct ControlAnswer: Sendable {
    var status: HTTPResponse.Status
    var headers: HTTPFields = [:]
    var body: ByteBuffer?
    /// The connection can't go on: the request was not read to its end.
    var closes = false

    init(_ status: HTTPResponse.Status) {
        self.status = status
    }

    init(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws {
        self.status = status
        body = try jsonBuffer(value)
        headers[.contentType] = "application/json"
    }

    init(_ problem: ControlProblem) {
        status = problem.status
        headers[.contentType] = "application/json"
        body = try? jsonBuffer(problem)
        if let seconds = problem.retryAfter { headers[.retryAfter] = "\(Int(min(seconds, 86_400).rounded(.up)))" }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
    }

    @concurrent
    func write(_ writer: consuming ResponseWriter) async throws {
        var fields = headers
        fields[.cacheControl] = "no-store"
        fields[.contentLength] = "\(body?.readableBytes ?? 0)"
        if closes { fields[.connection] = "close" }
        let head = HTTPResponse(status: status, headerFields: fields)
        try await writer.write(response: head, body: body.map { ResponseBody(byteBuffer: $0) } ?? ResponseBody())
    }
}

func jsonBuffer(_ value: some Encodable) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    // Numbers that JSON does not have come from a defect; a text is better than no answer.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "infinite",
        negativeInfinity: "-infinite",
        nan: "unknown"
    )
    // Equal answers are equal bytes: of two refusals nobody can tell which is which.
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return ByteBuffer(bytes: try encoder.encode(value))
}

extension ControlProblem {
    var status: HTTPResponse.Status { HTTPResponse.Status(code: statusCode) }

    /// Of errors that are not answerable.
    static let unavailable = ControlProblem(
        .unavailable,
        "The provider's server has a problem of its own, and its log says which. Try again later.",
        retryAfter: 15
    )
}

extension HawserError.Code {
    /// The body of a request is longer than `ControlAPI.largestRequest`.
    static let requestTooLarge = Self("request_too_large")
    /// The path is known, for other methods.
    static let wrongMethod = Self("wrong_method")
}
