import HawserFormat
import HawserStorage

/// Lists everything below a prefix, in the way that a bucket with or without versions wants.
struct InventoryOperation: S3Operation {
    let prefix: String
    let hasVersions: Bool
    let marker: S3Marker?

    var place: String { prefix }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "GET", host: location.host, path: location.path(nil))
        request.query = [("encoding-type", "url"), ("max-keys", "1000"), ("prefix", location.prefix + prefix)]
        if hasVersions {
            request.query.append(("versions", ""))
            if let marker {
                request.query.append(("key-marker", marker.key))
                if let id = marker.id { request.query.append(("version-id-marker", id)) }
            }
        } else {
            request.query.append(("list-type", "2"))
            if let marker { request.query.append(("continuation-token", marker.key)) }
        }
        return request
    }

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .atMost(S3InventoryXML.longestBody) }

    func output(_ answer: S3Answer) throws -> S3InventoryPage<StoredVersion> {
        let page = hasVersions ? S3InventoryXML.versions(answer.body) : S3InventoryXML.objects(answer.body)
        guard let page else { throw foreign("The answer to a list is no list.") }
        return page
    }
}

/// ListMultipartUploads. The uploads' bytes are asked for apart.
struct ListUploadsOperation: S3Operation {
    let prefix: String
    let marker: S3Marker?

    var place: String { prefix }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "GET", host: location.host, path: location.path(nil))
        request.query = [("uploads", ""), ("encoding-type", "url"), ("prefix", location.prefix + prefix)]
        if let marker {
            request.query.append(("key-marker", marker.key))
            if let id = marker.id { request.query.append(("upload-id-marker", id)) }
        }
        return request
    }

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .atMost(S3InventoryXML.longestBody) }

    func output(_ answer: S3Answer) throws -> S3InventoryPage<UnfinishedUpload> {
        guard let page = S3InventoryXML.uploads(answer.body) else {
            throw foreign("The answer to a list of uploads is no list.")
        }
        return page
    }
}

/// ListParts: bytes of a page, and the last part's number unless this page ends the list.
struct ListPartsOperation: S3Operation {
    let key: String
    let upload: String
    let after: Int

    var place: String { key }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "GET", host: location.host, path: location.path(key))
        request.query = [("uploadId", upload), ("part-number-marker", String(after))]
        return request
    }

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .atMost(S3InventoryXML.longestBody) }

    func output(_ answer: S3Answer) throws -> S3PartsPage {
        guard let page = S3InventoryXML.parts(answer.body) else {
            throw foreign("The answer to a list of parts is no list.")
        }
        return page
    }
}

/// Takes away one version, or an upload.
struct RemoveOperation: S3Operation {
    enum What: Sendable {
        /// `nil` in a bucket without versions.
        case version(String?)
        case upload(String)
    }

    let key: String
    let what: What

    var place: String { key }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "DELETE", host: location.host, path: location.path(key))
        switch what {
        case .version(let id?): request.query = [("versionId", id)]
        case .version(nil): break
        case .upload(let id): request.query = [("uploadId", id)]
        }
        return request
    }

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .ignore }

    func output(_ answer: S3Answer) {}
}

/// Whether versions are kept, or ever were: GetBucketVersioning.
struct VersioningOperation: S3Operation {
    var place: String { "" }

    func request(at location: S3Location) -> SigV4Request {
        SigV4Request(method: "GET", host: location.host, path: location.path(nil), query: [("versioning", "")])
    }

    // An element with two words.
    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .atMost(64 << 10) }

    func output(_ answer: S3Answer) throws -> Bool {
        guard !answer.head.isHTML, let status = S3InventoryXML.versioning(answer.body) else {
            throw foreign("The answer about the bucket's versions is not of S3.")
        }
        return status
    }
}
