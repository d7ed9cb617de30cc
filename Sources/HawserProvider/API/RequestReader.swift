import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HummingbirdCore
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Reads the body of a request within its limits of size and time.
struct RequestReader: Sendable {
    // Read and thrown away beyond the limit, so that the client gets to read why its request was refused.
    private static let patience = 4 * ControlAPI.largestRequest

    let time: Duration

    /// - Throws: `requestTooLarge`; after that the connection can't go on.
    @concurrent
    func read(_ request: Request, _ channel: any Channel) async throws -> ByteBuffer {
        // Hummingbird's idle time-out starts anew with each byte.
        let deadline = channel.eventLoop.scheduleTask(in: TimeAmount(time)) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        if let length = request.headers[.contentLength].flatMap(Int.init), length > Self.patience {
            throw Self.tooLarge
        }
        var collected = ByteBuffer()
        var length = 0
        do {
            for try await part in request.body {
                length += part.readableBytes
                guard length <= Self.patience else { throw Self.tooLarge }
                if length <= ControlAPI.largestRequest { collected.writeImmutableBuffer(part) }
            }
        } catch let error as HawserError {
            throw error
        } catch {
            // The client has gone, or took too long: no trouble of the server's.
            throw HawserError(.invalidArgument, "The request broke off.", cause: error)
        }
        guard length <= ControlAPI.largestRequest else { throw Self.tooLarge }
        return collected
    }

    /// - Throws: `invalidArgument` with the place in the JSON; the values are nobody's business.
    static func decode<Value: Decodable>(_ type: Value.Type, _ body: ByteBuffer) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
        } catch {
            let path: [any CodingKey] =
                switch error as? DecodingError {
                case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                    context.codingPath
                case .keyNotFound(let key, let context): context.codingPath + [key]
                case nil: []
                @unknown default: []
                }
            let place = path.isEmpty ? "" : " at `\(path.map(\.stringValue).joined(separator: ".").prefix(80))`"
            throw HawserError(
                .invalidArgument,
                "The request is not what docs/openapi.yaml describes\(place). Does the client speak this version?"
            )
        }
    }

    private static let tooLarge = HawserError(
        .requestTooLarge,
        "A request has at most \(ControlAPI.largestRequest >> 10) KiB. Send the list in several requests."
    )
}
