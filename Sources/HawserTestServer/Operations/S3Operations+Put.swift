import Crypto
import HawserFormat
import HawserStorage
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension S3Operations {
    // S3's limit of a single PUT.
    private static let maximumLength = 5 << 30
    // What is allocated at once on the word of a header; more grows with what arrives.
    private static let trustedLength = 64 << 20

    @concurrent
    func put(_ key: ObjectPath, _ body: inout IncomingBody) async throws -> Answer {
        let retention = try requestedRetention()
        try check("PutObject", on: key)
        if retention != nil {
            try check("PutObjectRetention", on: key)
            try requireChecksum()
        }
        let length = try declaredLength()
        let condition = try condition()
        let payload = try PayloadHash(request, behaviour)
        let md5 = try declaredMD5()
        try checkDeclaredSHA256(payload)
        try table.check(bucket, key, condition, length: length, now: configuration.now())

        let receiver = try await table.makeReceiver(
            bucket,
            configuration.storage,
            capacity: min(length, Self.trustedLength)
        )
        do {
            var hashes = BodyHashes(payload, needsMD5: md5 != nil || behaviour.answersMD5ETags)
            try await receive(&body, length: length, into: receiver, &hashes)
            try hashes.check(payload, md5: md5)
            let now = configuration.now()
            let attributes = ObjectAttributes(
                length: min(length, effects.storedLength ?? length),
                etag: hashes.etag(isMD5: behaviour.answersMD5ETags),
                seconds: now.seconds,
                nanoseconds: now.nanoseconds,
                headers: request.headers.values.filter { $0.key == "content-type" || $0.key.hasPrefix("x-amz-meta-") },
                retention: retention
            )
            try await receiver.store(key, attributes, condition, now: now)
            var headers = [(name: "etag", value: "\"\(attributes.etag)\"")]
            let version = try table.withBucket(bucket) { bucket throws(ServiceError) in bucket.versions[key]?.last?.id }
            if let version { headers.append(("x-amz-version-id", version)) }
            return Answer(200, headers: headers)
        } catch {
            await receiver.discard()
            throw error
        }
    }

    @concurrent
    private func receive(
        _ body: inout IncomingBody,
        length: Int,
        into receiver: any ObjectReceiver,
        _ hashes: inout BodyHashes
    ) async throws {
        var left = min(length, effects.storedLength ?? length)
        while var part = try await body.next() {
            hashes.update(part.readableBytesView)
            if part.readableBytes > left { part = part.readSlice(length: left) ?? part }
            left -= part.readableBytes
            try await receiver.append(part)
        }
        // The client went away.
        guard body.received == length else { throw ConnectionEnds.reset }
    }

    private func declaredLength() throws(ServiceError) -> Int {
        guard request.headers["transfer-encoding"] == nil, let text = request.headers["content-length"] else {
            throw ServiceError(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        }
        guard request.headers["content-encoding"].map({ !$0.contains("aws-chunked") }) ?? true else {
            throw .notImplemented("signed chunks and trailers")
        }
        guard let length = Int(text), length >= 0 else { throw .invalidArgument("Content-Length is no number.") }
        guard length <= Self.maximumLength else {
            throw ServiceError(
                400,
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                details: [("ProposedSize", text), ("MaxSizeAllowed", String(Self.maximumLength))]
            )
        }
        return length
    }

    private func declaredMD5() throws(ServiceError) -> [UInt8]? {
        guard behaviour.checksMD5, let text = request.headers["content-md5"] else { return nil }
        guard let digest = Data(base64Encoded: text), digest.count == Insecure.MD5.byteCount else {
            throw ServiceError(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
        }
        return Array(digest)
    }

    /// The checksum is that of the body if it is the one that is signed, which is compared with the body.
    private func checkDeclaredSHA256(_ payload: PayloadHash) throws(ServiceError) {
        guard let text = request.headers["x-amz-checksum-sha256"], case .sha256(let signed) = payload else { return }
        guard let digest = Data(base64Encoded: text), hexadecimal(digest) == signed else {
            throw ServiceError(400, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")
        }
    }

    private func condition() throws(ServiceError) -> BucketTable.Condition {
        var condition = BucketTable.Condition()
        if let ifNoneMatch = request.headers["if-none-match"], behaviour.honoursIfNoneMatch {
            guard ifNoneMatch == "*" else { throw .notImplemented("If-None-Match of an ETag") }
            condition.mustNotExist = true
        }
        if let etag = request.headers["if-match"] {
            switch behaviour.ifMatch {
            case .honoured: condition.etag = etag.filter { $0 != "\"" }
            case .unquotedOnly: condition.etag = etag
            case .notImplemented: throw .notImplemented("If-Match")
            case .ignored: break
            }
        }
        return condition
    }
}

/// The hashes of a body as it comes.
private struct BodyHashes {
    private var sha256: SHA256?
    private var md5: Insecure.MD5?

    init(_ payload: PayloadHash, needsMD5: Bool) {
        if case .sha256 = payload { sha256 = SHA256() }
        md5 = needsMD5 ? Insecure.MD5() : nil
    }

    mutating func update(_ bytes: ByteBufferView) {
        bytes.withUnsafeBytes { bytes in
            sha256?.update(bufferPointer: bytes)
            md5?.update(bufferPointer: bytes)
        }
    }

    func check(_ payload: PayloadHash, md5 expected: [UInt8]?) throws(ServiceError) {
        if case .sha256(let expected) = payload, let sha256 {
            let actual = hexadecimal(sha256.finalize())
            guard actual == expected else {
                throw ServiceError(
                    400,
                    "XAmzContentSHA256Mismatch",
                    "The provided 'x-amz-content-sha256' header does not match what was computed.",
                    details: [("ClientComputedContentSHA256", expected), ("S3ComputedContentSHA256", actual)]
                )
            }
        }
        if let expected, let md5, !md5.finalize().elementsEqual(expected) {
            throw ServiceError(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        }
    }

    func etag(isMD5: Bool) -> String {
        if isMD5, let md5 { return hexadecimal(md5.finalize()) }
        return hexadecimal((0..<16).map { _ in UInt8.random(in: 0...255) }) + "-1"
    }
}
