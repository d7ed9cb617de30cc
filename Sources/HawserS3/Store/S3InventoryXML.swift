import HawserFormat

/// Bytes of some parts of an upload.
struct S3PartsPage: Sendable {
    var bytes: Int
    /// Where the next page begins; `nil`: this is the last.
    var next: Int?
}

/// Lists of a whole folder, as storages write them. `nil` for what is none.
enum S3InventoryXML {
    // 1,000 entries, each with a key of 1,024 bytes, encoded threefold, and a kilobyte of all that there is besides.
    static let longestBody = 4 << 20

    private struct Entry: Decodable {
        var key: String
        var version: String?
        var size: Int?
        var lastModified: String?

        enum CodingKeys: String, CodingKey {
            case key = "Key"
            case version = "VersionId"
            case size = "Size"
            case lastModified = "LastModified"
        }

        /// `nil` for a length that is none.
        func entry(_ isEncoded: Bool, isDeleteMarker: Bool = false) -> S3InventoryPage<StoredVersion>.Entry? {
            guard let length = isDeleteMarker ? 0 : size, (0...1 << 50).contains(length) else { return nil }
            let item = StoredVersion(
                key: "",
                version: version,
                length: length,
                stored: lastModified.flatMap { Timestamp(amazonText: $0) },
                isDeleteMarker: isDeleteMarker
            )
            return .init(key: bytes(key, isEncoded), id: version, item: item)
        }
    }

    private struct Objects: Decodable {
        var entries: [Entry]?
        var isTruncated: Bool
        var next: String?
        var encoding: String?

        enum CodingKeys: String, CodingKey {
            case entries = "Contents"
            case isTruncated = "IsTruncated"
            case next = "NextContinuationToken"
            case encoding = "EncodingType"
        }
    }

    static func objects(_ xml: [UInt8]) -> S3InventoryPage<StoredVersion>? {
        guard let body = decodeXML(Objects.self, xml) else { return nil }
        let list = body.entries ?? []
        let entries = list.compactMap { $0.entry(body.encoding == "url") }
        guard entries.count == list.count, !body.isTruncated || body.next != nil else { return nil }
        return .init(entries: entries, next: body.isTruncated ? body.next.map { S3Marker(key: $0) } : nil)
    }

    private struct Versions: Decodable {
        var versions: [Entry]?
        var markers: [Entry]?
        var isTruncated: Bool
        var nextKey: String?
        var nextVersion: String?
        var encoding: String?

        enum CodingKeys: String, CodingKey {
            case versions = "Version"
            case markers = "DeleteMarker"
            case isTruncated = "IsTruncated"
            case nextKey = "NextKeyMarker"
            case nextVersion = "NextVersionIdMarker"
            case encoding = "EncodingType"
        }
    }

    static func versions(_ xml: [UInt8]) -> S3InventoryPage<StoredVersion>? {
        guard let body = decodeXML(Versions.self, xml) else { return nil }
        let (versions, markers) = (body.versions ?? [], body.markers ?? [])
        let isEncoded = body.encoding == "url"
        let entries =
            versions.compactMap { $0.entry(isEncoded) }
            + markers.compactMap { $0.entry(isEncoded, isDeleteMarker: true) }
        guard entries.count == versions.count + markers.count else { return nil }
        guard body.isTruncated else { return .init(entries: entries) }
        guard let next = marker(body.nextKey, body.nextVersion, isEncoded) else { return nil }
        return .init(entries: entries, next: next)
    }

    private struct Uploads: Decodable {
        struct Upload: Decodable {
            var key: String
            var id: String
            var initiated: String?

            enum CodingKeys: String, CodingKey {
                case key = "Key"
                case id = "UploadId"
                case initiated = "Initiated"
            }
        }

        var uploads: [Upload]?
        var isTruncated: Bool
        var nextKey: String?
        var nextUpload: String?
        var encoding: String?

        enum CodingKeys: String, CodingKey {
            case uploads = "Upload"
            case isTruncated = "IsTruncated"
            case nextKey = "NextKeyMarker"
            case nextUpload = "NextUploadIdMarker"
            case encoding = "EncodingType"
        }
    }

    static func uploads(_ xml: [UInt8]) -> S3InventoryPage<UnfinishedUpload>? {
        guard let body = decodeXML(Uploads.self, xml) else { return nil }
        let isEncoded = body.encoding == "url"
        let entries = (body.uploads ?? []).map { upload in
            S3InventoryPage<UnfinishedUpload>.Entry(
                key: bytes(upload.key, isEncoded),
                id: upload.id,
                item: UnfinishedUpload(
                    key: "",
                    upload: upload.id,
                    begun: upload.initiated.flatMap { Timestamp(amazonText: $0) }
                )
            )
        }
        guard body.isTruncated else { return .init(entries: entries) }
        guard let next = marker(body.nextKey, body.nextUpload, isEncoded) else { return nil }
        return .init(entries: entries, next: next)
    }

    private struct Parts: Decodable {
        struct Part: Decodable {
            var size: Int

            enum CodingKeys: String, CodingKey { case size = "Size" }
        }

        var parts: [Part]?
        var isTruncated: Bool?
        var next: Int?

        enum CodingKeys: String, CodingKey {
            case parts = "Part"
            case isTruncated = "IsTruncated"
            case next = "NextPartNumberMarker"
        }
    }

    static func parts(_ xml: [UInt8]) -> S3PartsPage? {
        guard let body = decodeXML(Parts.self, xml) else { return nil }
        let sizes = (body.parts ?? []).map(\.size)
        guard sizes.allSatisfy({ (0...1 << 50).contains($0) }) else { return nil }
        return S3PartsPage(
            bytes: sizes.reduce(0) { min($0 + $1, 1 << 50) },
            next: body.isTruncated == true ? body.next : nil
        )
    }

    private struct Versioning: Decodable {
        var status: String?

        enum CodingKeys: String, CodingKey { case status = "Status" }
    }

    /// Of a bucket where it was switched off the old versions are still there.
    static func versioning(_ xml: [UInt8]) -> Bool? {
        guard String(decoding: xml, as: UTF8.self).contains("VersioningConfiguration") else { return nil }
        // An element without content decodes as nothing.
        let status = decodeXML(Versioning.self, xml)?.status
        return status == "Enabled" || status == "Suspended"
    }

    private static func marker(_ key: String?, _ id: String?, _ isEncoded: Bool) -> S3Marker? {
        guard let key else { return nil }
        return S3Marker(
            key: String(decoding: bytes(key, isEncoded), as: UTF8.self),
            id: id?.isEmpty == false ? id : nil
        )
    }

    /// A key's bytes; what is encoded wrongly counts as it is written.
    private static func bytes(_ text: String, _ isEncoded: Bool) -> [UInt8] {
        isEncoded ? text.formDecodedBytes ?? Array(text.utf8) : Array(text.utf8)
    }
}
