import HawserFormat
import NIOCore

/// The requests of S3, one function for each, in the other files of this folder.
struct S3Operations: Sendable {
    let configuration: S3TestServer.Configuration
    let table: BucketTable
    let effects: FaultEffects
    let identity: Identity
    let request: IncomingRequest
    let bucket: String
    let key: ObjectPath?

    var behaviour: ServerBehaviour { configuration.behaviour }

    init(
        _ request: IncomingRequest,
        _ identity: Identity,
        _ effects: FaultEffects,
        _ table: BucketTable,
        _ configuration: S3TestServer.Configuration
    ) {
        self.configuration = configuration
        self.table = table
        self.effects = effects
        self.identity = identity
        self.request = request
        bucket = request.bucket ?? ""
        key = request.key
    }

    @concurrent
    func run(_ body: inout IncomingBody) async throws -> Answer {
        if let key, behaviour.refusesUncleanKeys, key.isUnclean {
            throw ServiceError.invalidArgument("The key is no path.")
        }
        switch (request.kind, key) {
        case (.put, let key?): return try await put(key, &body)
        case (.get, let key?): return try await get(key)
        case (.head, let key?): return try await head(key)
        case (.delete, let key?): return try delete(key)
        case (.listParts, let key?): return try listParts(key)
        case (.abortUpload, let key?): return try abortUpload(key)
        case (.retention, let key?) where request.method == "PUT": return try await retain(key, &body)
        case (.retention, let key?): return try retention(of: key)
        case (.deleteMany, _): return try await deleteMany(&body)
        case (.list, _): return try list()
        case (.listVersions, _): return try listVersions()
        case (.listUploads, _): return try listUploads()
        case (.listBuckets, _): return try listBuckets()
        case (.headBucket, _): return try headBucket()
        case (.createBucket, _): return try await createBucket(&body)
        case (.bucketSettings, _): return try settings()
        default: throw ServiceError.notImplemented("this operation (no multipart uploads, no copies)")
        }
    }

    func check(_ action: String, on key: ObjectPath? = nil, context: [String: String] = [:]) throws(ServiceError) {
        try identity.check(self.action(action, on: key, context: context))
    }

    func action(_ name: String, on key: ObjectPath? = nil, context: [String: String] = [:]) -> PolicyAction {
        var all = context
        all["aws:securetransport"] = String(request.isSecure)
        return PolicyAction(
            name: "s3:" + name,
            resource: "arn:aws:s3:::" + bucket + (key.map { "/" + $0.text } ?? ""),
            context: all
        )
    }
}
