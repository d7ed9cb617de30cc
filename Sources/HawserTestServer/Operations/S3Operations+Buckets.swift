import HawserFormat
import HawserStorage
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension S3Operations {
    // A location constraint is short.
    private static let bucketBodyLimit = 64 << 10

    func listBuckets() throws -> Answer {
        try identity.check(PolicyAction(name: "s3:ListAllMyBuckets", resource: "arn:aws:s3:::*"))
        return Answer(
            xml: XMLText.document("ListAllMyBucketsResult", namespace: XMLText.s3Namespace) { xml in
                xml.element("Owner") { $0.element("ID", "hawser") }
                xml.element("Buckets") { xml in
                    for name in table.names {
                        xml.element("Bucket") { xml in
                            xml.element("Name", name)
                            xml.element("CreationDate", Timestamp(seconds: 0).extended)
                        }
                    }
                }
            }
        )
    }

    func headBucket() throws -> Answer {
        try check("ListBucket")
        try table.withBucket(bucket) { _ throws(ServiceError) in }
        return Answer(200, headers: [("x-amz-bucket-region", configuration.region)])
    }

    @concurrent
    func createBucket(_ body: inout IncomingBody) async throws -> Answer {
        try check("CreateBucket")
        _ = try await body.collect(upTo: Self.bucketBodyLimit)
        // S3's rules, as far as they keep a name from being a path.
        let allowed = Array("abcdefghijklmnopqrstuvwxyz0123456789-.".utf8)
        guard (3...63).contains(bucket.utf8.count), bucket.utf8.allSatisfy(allowed.contains), bucket.first != "." else {
            throw ServiceError(400, "InvalidBucketName", "The specified bucket is not valid.")
        }
        let wantsLock = request.headers["x-amz-bucket-object-lock-enabled"] == "true"
        if case .folder(let path) = configuration.storage {
            let folder = path + "/" + bucket
            try await BlockingExecutor.shared.run {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
        }
        if !table.create(bucket, hasObjectLock: wantsLock && behaviour.hasObjectLock),
            let error = behaviour.bucketExistsError
        {
            throw ServiceError(error, "The bucket exists.")
        }
        return Answer(200, headers: [("location", "/" + bucket)])
    }

    func settings() throws -> Answer {
        let name = request.target.query.map(\.name).first { ["location", "versioning", "object-lock"].contains($0) }
        switch name {
        case "location":
            try check("GetBucketLocation")
            try table.withBucket(bucket) { _ throws(ServiceError) in }
            var xml = XMLText.document("LocationConstraint", namespace: XMLText.s3Namespace) { _ in }
            if configuration.region != "us-east-1" {
                // The region is the text of the root, and none stands for the oldest.
                xml = xml.replacing("></LocationConstraint>", with: ">\(configuration.region)</LocationConstraint>")
            }
            return Answer(xml: xml)
        case "versioning":
            try check("GetBucketVersioning")
            guard behaviour.hasVersioning else { throw ServiceError.notImplemented("versions") }
            let hasLock = try table.withBucket(bucket) { bucket throws(ServiceError) in
                bucket.hasObjectLock || bucket.hasVersions
            }
            return Answer(
                xml: XMLText.document("VersioningConfiguration", namespace: XMLText.s3Namespace) { xml in
                    if hasLock { xml.element("Status", "Enabled") }
                }
            )
        default:
            try check("GetBucketObjectLockConfiguration")
            let hasLock = try table.withBucket(bucket) { bucket throws(ServiceError) in bucket.hasObjectLock }
            guard hasLock, behaviour.hasObjectLock else {
                throw ServiceError(
                    404,
                    "ObjectLockConfigurationNotFoundError",
                    "Object Lock configuration does not exist for this bucket"
                )
            }
            return Answer(
                xml: XMLText.document("ObjectLockConfiguration", namespace: XMLText.s3Namespace) { xml in
                    xml.element("ObjectLockEnabled", "Enabled")
                }
            )
        }
    }

    func requireChecksum() throws(ServiceError) {
        let hasOne = request.headers.values.keys.contains { $0 == "content-md5" || $0.hasPrefix("x-amz-checksum-") }
        guard hasOne || !behaviour.requiresChecksumOfLocks else {
            throw ServiceError(
                400,
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
            )
        }
    }

    /// What a PUT asks for by its headers.
    func requestedRetention() throws(ServiceError) -> Retention? {
        let mode = request.headers["x-amz-object-lock-mode"]
        let until = request.headers["x-amz-object-lock-retain-until-date"]
        guard behaviour.hasObjectLock, mode != nil || until != nil else { return nil }
        guard let mode = mode.flatMap(Retention.Mode.init), let until, let end = Timestamp(extended: until) else {
            throw .invalidArgument(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
            )
        }
        guard end > configuration.now() else {
            throw .invalidArgument("The retain until date must be in the future!")
        }
        guard try table.withBucket(bucket, { bucket throws(ServiceError) in bucket.hasObjectLock }) else {
            throw ServiceError(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
        }
        return Retention(mode: mode, until: until)
    }
}
