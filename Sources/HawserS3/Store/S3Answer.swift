import HawserFormat
import NIOHTTP1

/// The beginning of an answer.
struct S3AnswerHead: Sendable {
    var status: Int
    var headers: HTTPHeaders

    var isSuccess: Bool { (200...299).contains(status) }

    subscript(name: String) -> String? { headers.first(name: name) }

    /// `nil` when it is missing or no length of an object.
    var contentLength: Int? {
        self["content-length"].flatMap { Int($0) }.flatMap { (0...maximumBody).contains($0) ? $0 : nil }
    }

    /// Answers of S3 are XML or the object's own type, and ours are never HTML: a proxy, a portal or a web server spoke.
    var isHTML: Bool {
        self["content-type"]?.lowercased().hasPrefix("text/html") ?? false
    }

    // Above every object; what is longer is refused by who reads it.
    private var maximumBody: Int { 1 << 40 }

    /// Of the server's clock.
    var date: Timestamp? { self["date"].flatMap { Timestamp(httpText: $0) } }

    var requestID: String? { self["x-amz-request-id"] }
}

/// What is done with an answer's body as it comes.
enum S3BodyPlan: Hashable, Sendable {
    /// There is none, or it is of no interest.
    case ignore
    /// So many bytes of it; the rest is dropped.
    case beginning(Int)
    /// All of it; more bytes than that are an error.
    case atMost(Int)
    /// Exactly that many bytes behind the first ones, which are dropped. What follows is dropped as well if the rest is
    /// expected, and an error if not.
    case exactly(Int, after: Int, restFollows: Bool)
}

struct S3Answer: Sendable {
    var head: S3AnswerHead
    var body: [UInt8] = []
}

/// One kind of request: how it is asked and what its answer means. Pure.
protocol S3Operation: Sendable {
    associatedtype Output: Sendable

    /// The object or prefix that is concerned, for errors.
    var place: String { get }
    var body: [UInt8] { get }
    /// In place of `body`: what can be sent only once.
    var stream: S3StreamedBody? { get }

    func request(at location: S3Location) -> SigV4Request
    /// Of a success.
    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan
    /// Of a success, with the body as it was planned.
    func output(_ answer: S3Answer) throws -> Output
}

extension S3Operation {
    var body: [UInt8] { [] }
    var stream: S3StreamedBody? { nil }

    /// The answer can't be used as it is, but another may.
    func unusable(_ message: String) -> HawserError {
        HawserError(.unavailable, message, place: place, isRetryable: true)
    }

    /// The other side is no S3 storage.
    func foreign(_ message: String) -> HawserError {
        HawserError(
            .unavailable,
            message + " Check the endpoint's URL, and whether a proxy or a portal stands between.",
            place: place
        )
    }
}
