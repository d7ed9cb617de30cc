import HTTPTypes
import HawserStorage
import NIOCore

/// What a request gets.
struct Answer: Sendable {
    enum Body: Sendable {
        case bytes(ByteBuffer)
        case file(OpenFile, Range<Int>)

        var length: Int {
            switch self {
            case .bytes(let buffer): buffer.readableBytes
            case .file(_, let range): range.count
            }
        }

        /// The whole of it in memory.
        func collected() async throws -> ByteBuffer {
            switch self {
            case .bytes(let buffer): buffer
            case .file(let file, let range): try await BlockingExecutor.shared.run { try file.read(range) }
            }
        }
    }

    var status: Int
    var headers: [(name: String, value: String)]
    var body: Body
    /// Of an error.
    var code: String?

    init(
        _ status: Int,
        headers: [(name: String, value: String)] = [],
        body: Body = .bytes(ByteBuffer()),
        code: String? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.code = code
    }

    init(_ status: Int = 200, type: String = "application/xml", xml: String) {
        self.init(
            status,
            headers: [("content-type", type)],
            body: .bytes(ByteBuffer(string: xml))
        )
    }

    init(_ script: ScriptedAnswer) {
        self.init(
            script.status,
            headers: script.headers,
            body: .bytes(ByteBuffer(bytes: script.body)),
            code: script.code
        )
    }

    /// The document that S3 or STS makes of an error.
    init(_ error: ServiceError, kind: RequestKind, resource: String, requestID: String, hasMessage: Bool) {
        let message = hasMessage ? error.message : ""
        let document =
            if kind == .sts {
                XMLText.document("ErrorResponse", namespace: XMLText.stsNamespace) { xml in
                    xml.element("Error") { xml in
                        xml.element("Type", "Sender")
                        xml.element("Code", error.code)
                        xml.element("Message", message)
                    }
                    xml.element("RequestId", requestID)
                }
            } else {
                XMLText.document("Error") { xml in
                    xml.element("Code", error.code)
                    xml.element("Message", message)
                    for detail in error.details { xml.element(detail.name, detail.value) }
                    xml.element("Resource", resource)
                    xml.element("RequestId", requestID)
                }
            }
        self.init(error.status, xml: document)
        code = error.code
    }

    /// - Parameter isHead: the length is stated, and the body is not sent.
    func head(isHead: Bool) -> HTTPResponse {
        var fields = HTTPFields()
        for header in headers {
            if let name = HTTPField.Name(header.name) { fields.append(HTTPField(name: name, value: header.value)) }
        }
        // Neither may have one (RFC 9110, 8.6); and an error's document is not what a HEAD asks the length of.
        let hasLength = status != 204 && status != 304 && !(isHead && status >= 300)
        if hasLength, fields[.contentLength] == nil { fields[.contentLength] = String(body.length) }
        if isHead, status >= 300 { fields[.contentLength] = "0" }
        return HTTPResponse(status: .init(code: status), headerFields: fields)
    }
}
