public import HawserTesting

/// One thing that goes wrong at the server: at which requests, and how.
public struct ServerFault: Sendable {
    /// Which keys are concerned. Of a list, the prefix asked for counts as the key; requests without a key (of buckets,
    /// deletions of many, STS) match `all` only.
    public enum Keys: Sendable {
        case all
        case exactly(String)
        case prefix(String)
        case containing(String)

        func contains(_ key: String?) -> Bool {
            switch self {
            case .all: true
            case .exactly(let wanted): key.map { $0.utf8.elementsEqual(wanted.utf8) } ?? false
            case .prefix(let prefix): key.map { $0.utf8.starts(with: prefix.utf8) } ?? false
            case .containing(let part): key?.contains(part) ?? false
            }
        }
    }

    public enum Effect: Sendable {
        // MARK: Instead of the request

        /// The request is not made.
        case answer(ScriptedAnswer)
        /// The connection is reset before the request has any effect.
        case resetBefore
        /// The connection is reset when so many bytes of the request's body have arrived; nothing is stored.
        case cutRequest(afterBytes: Int)
        /// The request's token has expired, now and for good. A permanent key is only refused.
        case expireToken

        // MARK: Delays

        /// The request is made when the gate opens.
        case hold(Gate)
        /// So many bytes of the request's body are read, and the rest when the gate opens.
        case holdRequest(afterBytes: Int, Gate)
        /// The request is made, and its answer comes when the gate opens.
        case holdAnswer(Gate)
        /// The head of the answer comes with so many bytes of its body, and the rest when the gate opens.
        case holdBody(afterBytes: Int, Gate)
        /// The body of the answer comes in pieces of so many bytes, each after a pause.
        case slowBody(pieces: Int, every: Duration)

        // MARK: After the request's effect

        /// The request is made, and answered otherwise.
        case answerAfter(ScriptedAnswer)
        /// The request is made, and the connection reset without an answer.
        case resetAfter
        /// The connection ends when so many bytes of the answer, its head among them, were sent.
        case cutAnswer(afterBytes: Int)
        /// The connection ends when so many bytes of the answer's body were sent.
        case cutBody(afterBytes: Int)

        // MARK: Wrong answers

        /// The body has only so many bytes, and its length says so.
        case truncate(Int)
        /// The body has one bit changed.
        case flip(bit: Int)
        /// The body is another.
        case body([UInt8])
        /// PUT stores only the first bytes, and succeeds.
        case storeTruncated(Int)
        /// A list does not show the objects that were put last.
        case hideNewest(Int)
        /// A list leaves out each n-th of its keys, counted from 1.
        case skipKeys(every: Int)
        /// A page of a list that goes on begins with the key with which the one before it ended, and every key comes twice.
        case repeatKeys
    }

    public var name: String
    public var kinds: Set<RequestKind>
    public var keys: Keys
    /// By which name the server was asked, without the port; `nil` for all. A client that knows it as `localhost` is told
    /// from one that knows it as `127.0.0.1`.
    public var host: String?
    public var occurrence: Fault.Occurrence
    public var effect: Effect

    /// - Parameters:
    ///   - kinds: empty for all.
    ///   - name: for `S3TestServer.fired`; made from the other values when it is `nil`.
    public init(
        _ effect: Effect,
        on kinds: Set<RequestKind> = [],
        keys: Keys = .all,
        host: String? = nil,
        occurrence: Fault.Occurrence = .only(1),
        name: String? = nil
    ) {
        let kindNames = kinds.isEmpty ? "all" : kinds.map(\.rawValue).sorted().joined(separator: ",")
        self.name = name ?? "\(kindNames) \(keys) \(occurrence): \(effect)"
        self.kinds = kinds
        self.keys = keys
        self.host = host
        self.occurrence = occurrence
        self.effect = effect
    }
}

/// An answer that a script gives.
public struct ScriptedAnswer: Sendable, CustomStringConvertible {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    var code: String?

    public init(_ status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    public var description: String { "\(status) \(code ?? "")" }

    /// With S3's document of an error.
    public static func error(
        _ status: Int,
        _ code: String,
        _ message: String = "As the test asked.",
        headers: [(name: String, value: String)] = []
    ) -> ScriptedAnswer {
        let document = XMLText.document("Error") { xml in
            xml.element("Code", code)
            xml.element("Message", message)
        }
        var answer = ScriptedAnswer(
            status,
            headers: headers + [("content-type", "application/xml")],
            body: Array(document.utf8)
        )
        answer.code = code
        return answer
    }

    /// - Parameter retryAfter: seconds, or a date.
    public static func slowDown(retryAfter: String? = nil) -> ScriptedAnswer {
        error(
            503,
            "SlowDown",
            "Please reduce your request rate.",
            headers: retryAfter.map { [("retry-after", $0)] } ?? []
        )
    }

    public static let internalError = error(500, "InternalError", "We encountered an internal error. Please try again.")

    /// What a client gets for a bucket of another region: 301, or 307 with the place to go to.
    public static func redirect(region: String, to location: String? = nil) -> ScriptedAnswer {
        error(
            location == nil ? 301 : 307,
            location == nil ? "PermanentRedirect" : "TemporaryRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint.",
            headers: [("x-amz-bucket-region", region)] + (location.map { [("location", $0)] } ?? [])
        )
    }

    /// What a proxy or a sign-on page says.
    public static func html(_ status: Int = 200) -> ScriptedAnswer {
        ScriptedAnswer(
            status,
            headers: [("content-type", "text/html; charset=utf-8")],
            body: Array("<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>".utf8)
        )
    }
}
