import Crypto
import HawserFormat
import HawserStorage

struct PutOperation: S3Operation {
    let key: ObjectKey
    let body: [UInt8]
    let sha256: ObjectName
    let isConditional: Bool
    let sendsContentMD5: Bool
    var retention: S3Retention?

    var place: String { key.path }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "PUT", host: location.host, path: location.path(key.path))
        request.headers.append(("content-type", "application/octet-stream"))
        if isConditional { request.headers.append(("if-none-match", "*")) }
        if sendsContentMD5 { request.headers.append(("content-md5", contentMD5(body))) }
        if let retention { request.headers += retention.headers }
        request.payload = .sha256(sha256)
        return request
    }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan {
        // All S3 storages confirm what they stored by its tag; a web server that says yes to everything doesn't.
        guard head["etag"] != nil else { throw foreign("The answer to an upload does not confirm it.") }
        return .ignore
    }

    func output(_ answer: S3Answer) {}
}

struct StreamedPutOperation: S3Operation {
    let key: ObjectKey
    let stream: S3StreamedBody?
    let sha256: ObjectName
    let isConditional: Bool

    var place: String { key.path }

    private var whole: PutOperation {
        PutOperation(key: key, body: [], sha256: sha256, isConditional: isConditional, sendsContentMD5: false)
    }

    func request(at location: S3Location) -> SigV4Request { whole.request(at: location) }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan { try whole.plan(head) }

    func output(_ answer: S3Answer) {}
}

struct HeadOperation: S3Operation {
    let key: ObjectKey

    var place: String { key.path }

    func request(at location: S3Location) -> SigV4Request {
        SigV4Request(method: "HEAD", host: location.host, path: location.path(key.path))
    }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan {
        guard !head.isHTML else { throw foreign("The answer to the question for an object is a web page.") }
        return .ignore
    }

    func output(_ answer: S3Answer) throws -> ObjectInfo {
        guard let length = answer.head.contentLength else { throw unusable("The storage does not say how long it is.") }
        return ObjectInfo(
            key: key,
            length: length,
            stored: answer.head["last-modified"].flatMap { Timestamp(httpText: $0) }
        )
    }
}

struct GetOperation: S3Operation {
    let key: ObjectKey
    /// Not empty.
    let range: Range<Int>?

    var place: String { key.path }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "GET", host: location.host, path: location.path(key.path))
        if let range { request.headers.append(("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")) }
        return request
    }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan {
        guard !head.isHTML else { throw foreign("The answer to a download is a web page.") }
        guard head.status == 200 || head.status == 206 else {
            throw unusable("The storage answers a download with status \(head.status).")
        }
        // rclone says 200 to a range, and means the range.
        if let text = head["content-range"] {
            guard let given = ContentRange(text) else { throw unusable("The storage gives an unknown range: \(text).") }
            return try plan(given)
        }
        guard head.status == 200 else { throw unusable("The storage does not say which range it gives.") }
        return try planWhole(head.contentLength)
    }

    private func plan(_ given: ContentRange) throws -> S3BodyPlan {
        guard let range else {
            guard given.range == 0..<given.length else { throw unusable("The storage gives a part of the object.") }
            return try planWhole(given.length)
        }
        try range.checkBounds(length: given.length, place: place)
        guard given.range == range else {
            throw unusable("The storage gives the bytes \(given.range) instead of \(range).")
        }
        return .exactly(range.count, after: 0, restFollows: false)
    }

    /// - Parameter length: of the object, as far as the answer says it.
    private func planWhole(_ length: Int?) throws -> S3BodyPlan {
        guard let length else { throw unusable("The storage does not say how long the object is.") }
        guard let range else {
            guard length <= maximumObjectLength else {
                throw HawserError(.damaged, "The object has \(length) bytes, more than any may have.", place: place)
            }
            return .exactly(length, after: 0, restFollows: false)
        }
        // A server that does not know ranges: the rest of the object is dropped.
        try range.checkBounds(length: length, place: place)
        return .exactly(range.count, after: range.lowerBound, restFollows: range.upperBound < length)
    }

    func output(_ answer: S3Answer) -> [UInt8] { answer.body }
}

/// `bytes 0-99/1000` (RFC 9110, 14.4); S3 always knows the length.
struct ContentRange: Hashable {
    /// Not empty.
    let range: Range<Int>
    /// Of the object.
    let length: Int

    init?(_ text: String) {
        let parts = text.split(whereSeparator: { " -/".contains($0) })
        guard parts.count == 4, parts[0].lowercased() == "bytes", let first = Int(parts[1]), let last = Int(parts[2]),
            let length = Int(parts[3]), 0 <= first, first <= last, last < length
        else { return nil }
        range = first..<last + 1
        self.length = length
    }
}

struct DeleteOperation: S3Operation {
    let key: ObjectKey

    var place: String { key.path }

    func request(at location: S3Location) -> SigV4Request {
        SigV4Request(method: "DELETE", host: location.host, path: location.path(key.path))
    }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan {
        // No portal answers 204, and some storages call what has no body HTML.
        guard head.status == 204 || !head.isHTML else { throw foreign("The answer to a deletion is a web page.") }
        return .ignore
    }

    func output(_ answer: S3Answer) {}
}

/// RFC 1864.
func contentMD5(_ bytes: [UInt8]) -> String {
    base64(Array(Insecure.MD5.hash(data: bytes)))
}
