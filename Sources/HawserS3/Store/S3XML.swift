import HawserFormat
import XMLCoder

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The body of an error.
struct S3ErrorBody: Decodable {
    var code: String
    var message: String?
    var requestID: String?
    var region: String?
    var endpoint: String?

    enum CodingKeys: String, CodingKey {
        case code = "Code"
        case message = "Message"
        case requestID = "RequestId"
        case region = "Region"
        case endpoint = "Endpoint"
    }

    /// `nil` for what is no error of S3.
    init?(xml: [UInt8]) {
        guard let value = decodeXML(S3ErrorBody.self, xml) else { return nil }
        self = value
    }
}

extension S3ListPage {
    private struct Body: Decodable {
        struct Object: Decodable {
            var key: String
            var size: Int
            var lastModified: String?

            enum CodingKeys: String, CodingKey {
                case key = "Key"
                case size = "Size"
                case lastModified = "LastModified"
            }
        }

        var objects: [Object]?
        var isTruncated: Bool
        var continuation: String?
        var encoding: String?

        enum CodingKeys: String, CodingKey {
            case objects = "Contents"
            case isTruncated = "IsTruncated"
            case continuation = "NextContinuationToken"
            case encoding = "EncodingType"
        }
    }

    /// `nil` for what is no list.
    init?(xml: [UInt8]) {
        guard let body = decodeXML(Body.self, xml) else { return nil }
        isTruncated = body.isTruncated
        continuation = body.continuation
        objects = []
        for object in body.objects ?? [] {
            guard object.size >= 0 else { return nil }
            // What can't be decoded is no key of ours.
            guard let key = body.encoding == "url" ? object.key.formDecoded : object.key else { continue }
            let stored = object.lastModified.flatMap { Timestamp(amazonText: $0) }
            objects.append(Object(key: key, length: object.size, stored: stored))
        }
    }
}

enum S3DeleteRequest {
    private struct Body: Encodable {
        struct Object: Encodable {
            var key: String
            var version: String?

            enum CodingKeys: String, CodingKey {
                case key = "Key"
                case version = "VersionId"
            }
        }

        var quiet = true
        var objects: [Object]

        enum CodingKeys: String, CodingKey {
            case quiet = "Quiet"
            case objects = "Object"
        }
    }

    static func xml(_ objects: [(key: String, version: String?)]) -> [UInt8] {
        let body = Body(objects: objects.map { Body.Object(key: $0.key, version: $0.version) })
        // Strings and a flag: nothing in it can fail to be encoded.
        let data = try? XMLEncoder().encode(
            body,
            withRootKey: "Delete",
            rootAttributes: ["xmlns": "http://s3.amazonaws.com/doc/2006-03-01/"]
        )
        return data.map { [UInt8]($0) } ?? []
    }
}

struct S3DeleteResult: Decodable {
    struct Failure: Decodable {
        var key: String?
        var code: String
        var message: String?

        enum CodingKeys: String, CodingKey {
            case key = "Key"
            case code = "Code"
            case message = "Message"
        }
    }

    var errors: [Failure]?
    /// Of a body that is an error as a whole.
    var code: String?
    var message: String?

    enum CodingKeys: String, CodingKey {
        case errors = "Error"
        case code = "Code"
        case message = "Message"
    }

    init?(xml: [UInt8]) {
        // Some servers answer with nothing when nothing went wrong.
        guard !xml.isEmpty else { return }
        // By its words and not by its type: Swift calls it a web page.
        let text = String(decoding: xml, as: UTF8.self)
        guard text.contains("DeleteResult") || text.contains("<Error") else { return nil }
        guard let value = decodeXML(S3DeleteResult.self, xml) else { return nil }
        self = value
    }
}

func decodeXML<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
    try? XMLDecoder().decode(type, from: Data(bytes))
}

func base64(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString()
}

extension String {
    /// What `encoding-type=url` made of a key: percent-encoded, with a plus for a space. `nil` for what is not that, or
    /// not UTF-8.
    var formDecoded: String? { formDecodedBytes.flatMap { String(validating: $0, as: UTF8.self) } }

    /// As `formDecoded`, whatever the bytes are.
    var formDecodedBytes: [UInt8]? {
        var bytes: [UInt8] = []
        var rest = utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"):
                bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2, let digits = String(rest.prefix(2)),
                    let value = [UInt8](hex: digits.lowercased())
                else { return nil }
                bytes += value
                rest = rest.dropFirst(2)
            default:
                bytes.append(byte)
            }
        }
        return bytes
    }
}
