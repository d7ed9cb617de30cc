import HawserFormat
import HawserStorage
import NIOCore
import XMLCoder

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension S3Operations {
    func get(_ key: ObjectPath) async throws -> Answer {
        try check("GetObject", on: key)
        let (attributes, body) = try await lookUp(key, opening: true)
        guard let text = request.headers["range"] else {
            return Answer(200, headers: headers(of: attributes), body: body)
        }
        switch ByteRange(text).map({ $0.resolved(length: attributes.length) }) {
        case .some(nil):
            throw ServiceError(
                416,
                "InvalidRange",
                "The requested range is not satisfiable",
                details: [("RangeRequested", text), ("ActualObjectSize", String(attributes.length))]
            )
        case .some(let range?):
            let part: Answer.Body =
                switch body {
                case .bytes(let buffer):
                    .bytes(buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) ?? buffer)
                case .file(let file, _): .file(file, range)
                }
            let bounds = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(attributes.length)"
            return Answer(
                behaviour.answersRangeWith200 ? 200 : 206,
                headers: headers(of: attributes) + [("content-range", bounds)],
                body: part
            )
        case nil:
            // RFC 9110, 14.2: what is no range of bytes is ignored.
            return Answer(200, headers: headers(of: attributes), body: body)
        }
    }

    func head(_ key: ObjectPath) async throws -> Answer {
        try check("GetObject", on: key)
        let (attributes, _) = try await lookUp(key, opening: false)
        return Answer(200, headers: headers(of: attributes) + [("content-length", String(attributes.length))])
    }

    func retention(of key: ObjectPath) throws -> Answer {
        try check("GetObjectRetention", on: key)
        guard behaviour.hasObjectLock else { throw ServiceError.notImplemented("object locks") }
        let object = try table.withBucket(bucket) { bucket throws(ServiceError) in bucket.objects[key] }
        guard let object else { throw ServiceError.noSuchKey }
        guard let retention = object.attributes.retention else {
            throw ServiceError(
                404,
                "NoSuchObjectLockConfiguration",
                "The specified object does not have a ObjectLock configuration"
            )
        }
        return Answer(
            xml: XMLText.document("Retention", namespace: XMLText.s3Namespace) { xml in
                xml.element("Mode", retention.mode.rawValue)
                xml.element("RetainUntilDate", retention.until)
            }
        )
    }

    /// PutObjectRetention: a lock may be made longer by whoever may lock; shortening takes a right that nobody has here.
    @concurrent
    func retain(_ key: ObjectPath, _ body: inout IncomingBody) async throws -> Answer {
        try check("PutObjectRetention", on: key)
        guard behaviour.hasObjectLock else { throw ServiceError.notImplemented("object locks") }
        try requireChecksum()
        let bytes = Array((try await body.collect(upTo: Self.retentionLimit)).readableBytesView)
        let asked = try? XMLDecoder().decode(RetentionDocument.self, from: Data(bytes))
        guard let asked, let mode = Retention.Mode(rawValue: asked.Mode),
            let end = Timestamp(extended: asked.RetainUntilDate), end > configuration.now()
        else { throw ServiceError(400, "MalformedXML", "The retention is not one.") }
        try table.retain(bucket, key, Retention(mode: mode, until: asked.RetainUntilDate), end)
        return Answer(200)
    }

    private static let retentionLimit = 4 << 10

    /// - Parameter opening: the body is wanted, too.
    private func lookUp(_ key: ObjectPath, opening: Bool) async throws -> (ObjectAttributes, Answer.Body) {
        let found: (ObjectAttributes, Answer.Body)?
        switch configuration.storage {
        case .memory:
            found = try open(key, opening: opening)
        case .folder:
            // Opened under the lock, so that it is the file of these attributes.
            found = try await BlockingExecutor.shared.run { try open(key, opening: opening) }
        }
        if let found { return found }
        guard identity.may(action("ListBucket", context: ["s3:prefix": key.text])) || !behaviour.hidesMissingKeys else {
            throw ServiceError.accessDenied()
        }
        throw ServiceError.noSuchKey
    }

    private func open(_ key: ObjectPath, opening: Bool) throws(ServiceError) -> (ObjectAttributes, Answer.Body)? {
        try table.withBucket(bucket) { bucket throws(ServiceError) -> (ObjectAttributes, Answer.Body)? in
            guard let object = bucket.objects[key] else { return nil }
            guard opening else { return (object.attributes, .bytes(ByteBuffer())) }
            switch object.content {
            case .memory(let bytes): return (object.attributes, .bytes(bytes))
            case .file(let path):
                do throws(OpenFile.Failure) {
                    return (object.attributes, .file(try OpenFile(reading: path), 0..<object.length))
                } catch {
                    throw ServiceError(error)
                }
            }
        }
    }

    private func headers(of attributes: ObjectAttributes) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = [
            ("etag", "\"\(attributes.etag)\""), ("last-modified", attributes.modified.http), ("accept-ranges", "bytes"),
        ]
        headers += attributes.headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        if attributes.headers["content-type"] == nil { headers.append(("content-type", "binary/octet-stream")) }
        if let retention = attributes.retention {
            headers.append(("x-amz-object-lock-mode", retention.mode.rawValue))
            headers.append(("x-amz-object-lock-retain-until-date", retention.until))
        }
        return headers
    }
}

// The names are those of the document.
// swift-format-ignore: AlwaysUseLowerCamelCase
private struct RetentionDocument: Decodable {
    var Mode: String
    var RetainUntilDate: String
}

/// A single range of a Range header (RFC 9110, 14.1.2).
enum ByteRange: Hashable {
    case from(Int, through: Int?)
    case last(Int)

    init?(_ text: String) {
        guard text.hasPrefix("bytes=") else { return nil }
        let bounds = text.dropFirst("bytes=".count).split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count == 2 else { return nil }
        switch (Int(bounds[0]), Int(bounds[1])) {
        case (let first?, let last?) where first <= last: self = .from(first, through: last)
        case (let first?, nil) where bounds[1].isEmpty: self = .from(first, through: nil)
        case (nil, let count?) where bounds[0].isEmpty: self = .last(count)
        default: return nil
        }
    }

    /// `nil` when nothing of it lies within the object.
    func resolved(length: Int) -> Range<Int>? {
        switch self {
        case .from(let first, let last):
            guard first < length else { return nil }
            return first..<min(last ?? length - 1, length - 1) + 1
        case .last(let count):
            guard count > 0, length > 0 else { return nil }
            return max(length - count, 0)..<length
        }
    }
}
