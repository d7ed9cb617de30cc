import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension S3Operations {
    // S3's limit of a page.
    private static let pageSize = 1000

    func list() throws -> Answer {
        let target = request.target
        let isSecondVersion = target["list-type"] == "2"
        var context = ["s3:prefix": target["prefix"], "s3:delimiter": target["delimiter"]].compactMapValues { $0 }
        context["s3:max-keys"] = target["max-keys"]
        try check("ListBucket", context: context)

        var query = ObjectListQuery()
        query.prefix = ObjectPath(target["prefix"] ?? "")
        query.delimiter = Array((target["delimiter"] ?? "").utf8)
        if let text = target["max-keys"] {
            guard let limit = Int(text), limit >= 0 else { throw ServiceError.invalidArgument("max-keys") }
            query.limit = min(limit, Self.pageSize)
        }
        let token = target["continuation-token"]
        if isSecondVersion, let token {
            guard let after = Data(base64Encoded: token) else {
                throw ServiceError.invalidArgument("The continuation token provided is incorrect")
            }
            query.after = ObjectPath(Array(after))
        } else {
            query.after = target[isSecondVersion ? "start-after" : "marker"].map { ObjectPath($0) }
        }
        guard target["encoding-type"].map({ $0 == "url" }) ?? true else {
            throw ServiceError.invalidArgument("Invalid Encoding Method specified in Request")
        }
        let page = try table.withBucket(bucket) { bucket throws(ServiceError) in
            ObjectList(bucket, query, effects)
        }
        return Answer(xml: document(page, query, token: token, isSecondVersion: isSecondVersion))
    }

    private func document(_ page: ObjectList, _ query: ObjectListQuery, token: String?, isSecondVersion: Bool) -> String
    {
        let last = page.isTruncated ? page.items.last?.path : nil
        return XMLText.document("ListBucketResult", namespace: XMLText.s3Namespace) { xml in
            xml.element("Name", bucket)
            xml.element("Prefix", shown(query.prefix.bytes))
            if !query.delimiter.isEmpty { xml.element("Delimiter", shown(query.delimiter)) }
            if request.target["encoding-type"] != nil { xml.element("EncodingType", "url") }
            xml.element("MaxKeys", String(query.limit))
            xml.element("IsTruncated", String(page.isTruncated))
            if isSecondVersion {
                xml.element("KeyCount", String(page.items.count))
                if let token { xml.element("ContinuationToken", token) }
                if let last { xml.element("NextContinuationToken", Data(last.bytes).base64EncodedString()) }
                if let after = request.target["start-after"] { xml.element("StartAfter", shown(Array(after.utf8))) }
            } else {
                xml.element("Marker", shown(query.after?.bytes ?? []))
                if let last, !query.delimiter.isEmpty { xml.element("NextMarker", shown(last.bytes)) }
            }
            for item in page.items {
                switch item {
                case .object(let key, let attributes):
                    xml.element("Contents") { xml in
                        xml.element("Key", shown(key.bytes))
                        xml.element("LastModified", attributes.modified.extended)
                        xml.element("ETag", "\"\(attributes.etag)\"")
                        xml.element("Size", String(attributes.length))
                        xml.element("StorageClass", "STANDARD")
                    }
                case .group(let prefix):
                    xml.element("CommonPrefixes") { $0.element("Prefix", shown(prefix.bytes)) }
                }
            }
        }
    }

    /// A key as the list was asked to write it.
    func shown(_ bytes: [UInt8]) -> String {
        guard request.target["encoding-type"] != nil else { return String(decoding: bytes, as: UTF8.self) }
        guard behaviour.encodesSpaceAsPlus else { return PercentCoding.encode(bytes, keeping: UInt8(ascii: "/")) }
        return bytes.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { PercentCoding.encode($0, keeping: UInt8(ascii: "/")) }
            .joined(separator: "+")
    }
}
