import HawserFormat
import NIOHTTP1

/// A request for an object of the probe, which has no key of the format's grammar.
struct ProbeOperation: S3Operation {
    var method: String
    /// Below the store's folder; `nil` for the bucket.
    var name: String?
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// What is signed in place of the body's hash.
    var wrongHash: ObjectName?

    // Answers and objects of the probe have some kilobytes.
    private static let longestBody = 1 << 20

    var place: String { name ?? "" }

    func request(at location: S3Location) -> SigV4Request {
        SigV4Request(
            method: method,
            host: location.host,
            path: location.path(name),
            query: query.map { (name: $0.name, value: $0.name == "prefix" ? location.prefix + $0.value : $0.value) },
            headers: headers,
            payload: .sha256(wrongHash ?? .sha256(of: body))
        )
    }

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { method == "HEAD" ? .ignore : .atMost(Self.longestBody) }

    func output(_ answer: S3Answer) -> S3Answer { answer }
}
