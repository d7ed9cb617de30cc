import HawserFormat

extension S3Operations {
    private static let pageSize = 1000

    func listVersions() throws -> Answer {
        try check("ListBucketVersions")
        let target = request.target
        let prefix = ObjectPath(target["prefix"] ?? "")
        let limit = min(target["max-keys"].flatMap { Int($0) } ?? Self.pageSize, Self.pageSize)
        let after = target["key-marker"].map { ObjectPath($0) }
        let afterVersion = target["version-id-marker"]
        let all = try table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.versions.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
                // The newest first.
                .flatMap { key, versions in versions.reversed().map { (key: key, version: $0) } }
        }
        var rest = all[...]
        if let after {
            let index = afterVersion.flatMap { id in all.firstIndex { $0.key == after && $0.version.id == id } }
            rest = all[(index.map { $0 + 1 } ?? all.firstIndex { after < $0.key } ?? all.count)...]
        }
        let page = rest.prefix(limit)
        return Answer(
            xml: XMLText.document("ListVersionsResult", namespace: XMLText.s3Namespace) { xml in
                xml.element("Name", bucket)
                if target["encoding-type"] != nil { xml.element("EncodingType", "url") }
                xml.element("IsTruncated", String(page.count < rest.count))
                if page.count < rest.count, let last = page.last {
                    xml.element("NextKeyMarker", shown(last.key.bytes))
                    xml.element("NextVersionIdMarker", last.version.id)
                }
                for (key, version) in page {
                    xml.element(version.object == nil ? "DeleteMarker" : "Version") { xml in
                        xml.element("Key", shown(key.bytes))
                        xml.element("VersionId", version.id)
                        xml.element("LastModified", version.modified.extended)
                        if let object = version.object { xml.element("Size", String(object.length)) }
                    }
                }
            }
        )
    }

    func listUploads() throws -> Answer {
        try check("ListBucketMultipartUploads")
        let prefix = ObjectPath(request.target["prefix"] ?? "")
        let uploads = try table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.uploads.filter { $0.key.hasPrefix(prefix) }
        }
        return Answer(
            xml: XMLText.document("ListMultipartUploadsResult", namespace: XMLText.s3Namespace) { xml in
                if request.target["encoding-type"] != nil { xml.element("EncodingType", "url") }
                xml.element("IsTruncated", "false")
                for upload in uploads.sorted(by: { $0.key < $1.key }) {
                    xml.element("Upload") { xml in
                        xml.element("Key", shown(upload.key.bytes))
                        xml.element("UploadId", upload.id)
                        xml.element("Initiated", upload.begun.extended)
                    }
                }
            }
        )
    }

    func listParts(_ key: ObjectPath) throws -> Answer {
        try check("ListMultipartUploadParts", on: key)
        guard let upload = try upload(key) else { throw Self.noSuchUpload }
        return Answer(
            xml: XMLText.document("ListPartsResult", namespace: XMLText.s3Namespace) { xml in
                xml.element("IsTruncated", "false")
                for (index, size) in upload.parts.enumerated() {
                    xml.element("Part") { xml in
                        xml.element("PartNumber", String(index + 1))
                        xml.element("Size", String(size))
                    }
                }
            }
        )
    }

    func abortUpload(_ key: ObjectPath) throws -> Answer {
        try check("AbortMultipartUpload", on: key)
        guard let upload = try upload(key) else { throw Self.noSuchUpload }
        table.abort(bucket, upload: upload.id)
        return Answer(204)
    }

    private static var noSuchUpload: ServiceError {
        ServiceError(404, "NoSuchUpload", "The specified multipart upload does not exist.")
    }

    private func upload(_ key: ObjectPath) throws -> BucketTable.Upload? {
        let id = request.target["uploadId"]
        return try table.withBucket(bucket) { bucket throws(ServiceError) in
            bucket.uploads.first { $0.id == id && $0.key == key }
        }
    }
}
