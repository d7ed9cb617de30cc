import HTTPTypes

/// A request's head, taken apart.
struct IncomingRequest: Sendable {
    let method: String
    /// As it was sent.
    let rawTarget: String
    let target: RequestTarget
    let headers: HeaderFields
    let isSecure: Bool
    let bucket: String?
    let key: ObjectPath?
    let kind: RequestKind

    init(_ request: HTTPRequest, domain: String, isSecure: Bool) throws(ServiceError) {
        let rawTarget = request.path ?? ""
        guard let target = RequestTarget(rawTarget) else {
            throw ServiceError(400, "InvalidURI", "Couldn't parse the specified URI.")
        }
        let headers = HeaderFields(request)
        let (bucket, key) = try Self.resource(target.path, host: headers["host"] ?? "", domain: domain)
        self.method = request.method.rawValue
        self.rawTarget = rawTarget
        self.target = target
        self.headers = headers
        self.isSecure = isSecure
        self.bucket = bucket
        self.key = key
        self.kind = Self.kind(request.method.rawValue, bucket: bucket, key: key, target, headers)
    }

    /// Path style, or virtual-host style where the host lies in `domain`.
    private static func resource(
        _ path: [UInt8],
        host: String,
        domain: String
    ) throws(ServiceError) -> (String?, ObjectPath?) {
        let name = host.split(separator: ":").first ?? ""
        var rest = path.dropFirst()
        var bucket: String?
        if name.hasSuffix("." + domain) {
            bucket = String(name.dropLast(domain.count + 1))
        } else if !rest.isEmpty {
            let first = rest.prefix { $0 != UInt8(ascii: "/") }
            bucket = String(decoding: first, as: UTF8.self)
            rest = rest.dropFirst(first.count + 1)
        }
        guard !rest.isEmpty else { return (bucket, nil) }
        guard String(validating: rest, as: UTF8.self) != nil else {
            throw ServiceError(400, "InvalidURI", "Couldn't parse the specified URI.")
        }
        // S3's limit.
        guard rest.count <= 1024 else { throw ServiceError(400, "KeyTooLongError", "Your key is too long") }
        return (bucket, ObjectPath(Array(rest)))
    }

    /// Names in a query that don't choose another operation.
    private static let parameters: Set = [
        "x-id", "list-type", "prefix", "delimiter", "max-keys", "start-after", "continuation-token", "encoding-type",
        "fetch-owner", "marker", "key-marker", "version-id-marker", "upload-id-marker", "part-number-marker",
    ]

    private static func kind(
        _ method: String,
        bucket: String?,
        key: ObjectPath?,
        _ target: RequestTarget,
        _ headers: HeaderFields
    ) -> RequestKind {
        let subresources = target.query.map(\.name).filter { name in
            !parameters.contains(name) && !name.lowercased().hasPrefix("x-amz-")
        }
        let isCopy = headers["x-amz-copy-source"] != nil
        switch (method, bucket != nil, key != nil, subresources) {
        case ("POST", false, false, []): return .sts
        case ("GET", false, false, []): return .listBuckets
        case ("GET", true, false, []): return .list
        case ("GET", true, false, ["versions"]): return .listVersions
        case ("GET", true, false, ["uploads"]): return .listUploads
        case ("GET", true, true, ["uploadId"]): return .listParts
        case ("DELETE", true, true, ["uploadId"]): return .abortUpload
        case ("DELETE", true, true, ["versionId"]): return .delete
        case ("GET", true, false, ["location"]), ("GET", true, false, ["versioning"]),
            ("GET", true, false, ["object-lock"]):
            return .bucketSettings
        case ("HEAD", true, false, []): return .headBucket
        case ("PUT", true, false, []): return .createBucket
        case ("POST", true, false, ["delete"]): return .deleteMany
        case ("PUT", true, true, []) where !isCopy: return .put
        case ("GET", true, true, []): return .get
        case ("HEAD", true, true, []): return .head
        case ("DELETE", true, true, []): return .delete
        case ("GET", true, true, ["retention"]), ("PUT", true, true, ["retention"]): return .retention
        default: return .unknown
        }
    }
}
