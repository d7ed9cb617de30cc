import HawserFormat
import NIOHTTP1

/// An answer that is no success: what the storage said, as short as it is safe to show.
///
/// It is the `cause` of the `HawserError` that is made of it.
public struct S3Failure: Error, Sendable, CustomStringConvertible {
    /// Of HTTP.
    public let status: Int
    /// S3's, such as `NoSuchBucket`; empty where the answer has none (to HEAD it never has).
    public let code: String
    /// At most 300 characters, printable.
    public let message: String
    /// What the storage's operator can find the request by.
    public let requestID: String?

    /// The key that failed, in a request for many.
    let key: String?
    /// The region and endpoint that the storage wants to be asked in.
    let region: String?
    let endpoint: String?
    let date: Timestamp?
    let retryAfter: Duration?
    /// The answer came from something else than a storage.
    let isForeign: Bool

    // Long enough for every message of a server that means well.
    private static let longestText = 300

    init(status: Int, code: String, message: String?, key: String? = nil, head: S3AnswerHead) {
        self.init(status: status, code: code, message: message, key: key, body: nil, head: head)
    }

    init(_ answer: S3Answer) {
        let body = S3ErrorBody(xml: answer.body)
        // Without a body a type means nothing: some storages send a web server's.
        let isForeign =
            !answer.body.isEmpty && (answer.head.isHTML || (body == nil && answer.head.requestID == nil))
        self.init(
            status: answer.head.status,
            code: body?.code ?? "",
            message: body?.message,
            body: body,
            head: answer.head,
            isForeign: isForeign
        )
    }

    private init(
        status: Int,
        code: String,
        message: String?,
        key: String? = nil,
        body: S3ErrorBody?,
        head: S3AnswerHead,
        isForeign: Bool = false
    ) {
        self.status = status
        self.code = Self.shown(code)
        self.message = Self.shown(message ?? "")
        self.key = key
        requestID = (head.requestID ?? body?.requestID).map(Self.shown)
        region = head["x-amz-bucket-region"] ?? body?.region
        endpoint = head["location"] ?? body?.endpoint
        date = head.date
        retryAfter = head["retry-after"].flatMap { Self.pause($0, from: head.date) }
        self.isForeign = isForeign
    }

    private static func shown(_ text: String) -> String {
        displayText(Array(text.utf8.prefix(longestText)))
    }

    /// Seconds, or a date of the server's clock (RFC 9110, 10.2.3).
    private static func pause(_ text: String, from date: Timestamp?) -> Duration? {
        let end = Timestamp(httpText: text)
        guard let seconds = Int64(text) ?? end.flatMap({ end in date.map { end.seconds - $0.seconds } }) else {
            return nil
        }
        // Nobody waits longer than an hour because a server says so.
        return (0...3600).contains(seconds) ? .seconds(seconds) : nil
    }

    public var description: String {
        var text = "HTTP \(status)"
        if !code.isEmpty { text += " " + code }
        if !message.isEmpty { text += ": " + message }
        return requestID.map { text + " [request \($0)]" } ?? text
    }
}
