import Crypto
import HawserFormat
import NIOCore
import XMLCoder

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension S3Operations {
    // S3's limit, and room for as many of the longest keys with every byte escaped.
    private static let deleteLimit = 1000
    private static let deleteBodyLimit = 16 << 20

    func delete(_ key: ObjectPath) throws -> Answer {
        try check("DeleteObject", on: key)
        try remove(key, version: request.target["versionId"])
        return Answer(204)
    }

    @concurrent
    func deleteMany(_ body: inout IncomingBody) async throws -> Answer {
        let payload = try PayloadHash(request, behaviour)
        let bytes = Array((try await body.collect(upTo: Self.deleteBodyLimit)).readableBytesView)
        try checkDigests(bytes, payload)
        let list = try parse(bytes)
        let keys = list.Object.map { ObjectPath($0.Key) }
        if behaviour.deletesManyAllOrNone {
            for key in keys { try check("DeleteObject", on: key) }
        }
        let results = zip(keys, list.Object).map { key, entry in
            do throws(ServiceError) {
                try check("DeleteObject", on: key)
                try remove(key, version: entry.VersionId)
                return (key: key, error: nil as ServiceError?)
            } catch {
                return (key: key, error: error)
            }
        }
        return Answer(
            type: behaviour.typeOfDeleteManyResult,
            xml: XMLText.document("DeleteResult", namespace: XMLText.s3Namespace) { xml in
                for result in results {
                    if let error = result.error {
                        xml.element("Error") { xml in
                            xml.element("Key", result.key.text)
                            xml.element("Code", error.code)
                            xml.element("Message", behaviour.hasErrorMessages ? error.message : "")
                        }
                    } else if list.Quiet != true {
                        xml.element("Deleted") { $0.element("Key", result.key.text) }
                    }
                }
            }
        )
    }

    private func remove(_ key: ObjectPath, version: String?) throws(ServiceError) {
        try table.delete(bucket, key, version: version, now: configuration.now()) { object throws(ServiceError) in
            try object.removeContent()
        }
    }

    private func checkDigests(_ bytes: [UInt8], _ payload: PayloadHash) throws(ServiceError) {
        let hasChecksum = request.headers.values.keys.contains {
            $0 == "content-md5" || $0.hasPrefix("x-amz-checksum-")
        }
        guard hasChecksum || !behaviour.requiresChecksumOfDeleteMany else {
            throw ServiceError(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        }
        if behaviour.checksMD5, let text = request.headers["content-md5"] {
            guard Data(base64Encoded: text)?.elementsEqual(Insecure.MD5.hash(data: bytes)) ?? false else {
                throw ServiceError(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
            }
        }
        if case .sha256(let expected) = payload, hexadecimal(SHA256.hash(data: bytes)) != expected {
            throw ServiceError(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed."
            )
        }
    }

    private func parse(_ bytes: [UInt8]) throws(ServiceError) -> DeleteList {
        let malformed = ServiceError(
            400,
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
        do {
            let decoder = XMLDecoder(trimValueWhitespaces: false, removeWhitespaceElements: true)
            let list = try decoder.decode(DeleteList.self, from: Data(bytes))
            guard (1...Self.deleteLimit).contains(list.Object.count) else { throw malformed }
            return list
        } catch {
            throw malformed
        }
    }
}

// The names are those of the document.
// swift-format-ignore: AlwaysUseLowerCamelCase
private struct DeleteList: Decodable {
    struct Entry: Decodable {
        var Key: String
        var VersionId: String?
    }

    var Object: [Entry]
    var Quiet: Bool?
}
