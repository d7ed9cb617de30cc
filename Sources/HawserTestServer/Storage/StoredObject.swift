import HawserFormat
import NIOCore

struct StoredObject: Sendable {
    enum Content: Sendable {
        case memory(ByteBuffer)
        case file(path: String)
    }

    var content: Content
    var attributes: ObjectAttributes

    var length: Int { attributes.length }

    func removeContent() throws(ServiceError) {
        guard case .file(let path) = content else { return }
        do {
            try OpenFile.remove(path)
        } catch {
            throw ServiceError(error)
        }
    }
}

/// What is known of an object beside its bytes.
struct ObjectAttributes: Hashable, Sendable, Codable {
    /// Bytes.
    var length: Int
    /// Without quotes.
    var etag: String
    /// Seconds and nanoseconds since 1970.
    var seconds: Int64
    var nanoseconds: UInt32
    /// `content-type` and `x-amz-meta-*`, by names in lower case.
    var headers: [String: String]
    var retention: Retention?

    var modified: Timestamp { Timestamp(seconds: seconds, nanoseconds: nanoseconds) }
}

/// Until when an object can't be deleted or replaced.
struct Retention: Hashable, Sendable, Codable {
    enum Mode: String, Sendable, Codable {
        case governance = "GOVERNANCE"
        case compliance = "COMPLIANCE"
    }

    var mode: Mode
    /// As it was given.
    var until: String

    func isOver(at now: Timestamp) -> Bool {
        Timestamp(extended: until).map { $0 <= now } ?? true
    }
}
