import AsyncHTTPClient
import HawserFormat
import HawserS3
import NIOCore
import NIOHTTP1

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Requests to a storage in whatever form, for playing somebody who does what he must not.
struct RawRequests {
    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]

        var isSuccess: Bool { (200..<300).contains(status) }
    }

    let client: HTTPClient
    let settings: StorageSettings
    /// `https://host:port`, and `host:port`.
    private let origin: String
    private let host: String
    private let root: String

    init(_ client: HTTPClient, _ settings: StorageSettings) throws {
        self.client = client
        self.settings = settings
        let endpoint = try S3Endpoint(parsing: settings.endpoint)
        host = settings.usesPathStyle ? endpoint.authority : settings.bucket + "." + endpoint.authority
        origin = (endpoint.isSecure ? "https://" : "http://") + host
        root = endpoint.path
    }

    /// - Parameters:
    ///   - key: of the bucket as a whole; `nil`: the bucket itself.
    ///   - bucket: another than the storage's.
    func send(
        _ method: String,
        _ key: String?,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = [],
        bucket: String? = nil,
        as credentials: S3Credentials
    ) async throws -> Answer {
        let start = settings.usesPathStyle ? root + "/" + (bucket ?? settings.bucket) : root
        var request = SigV4Request(
            method: method,
            host: host,
            path: start + (key.map { "/" + $0 } ?? (settings.usesPathStyle ? "" : "/")),
            query: query,
            headers: headers,
            payload: .sha256(ObjectName(hashOf: body))
        )
        SigV4Signer(region: settings.region).sign(
            &request,
            with: credentials,
            at: Timestamp(seconds: Int64(Date.now.timeIntervalSince1970))
        )
        return try await send(method, origin + request.target, request.headers, body)
    }

    /// - Parameter headers: `content-length` comes from the body.
    func send(
        _ method: String,
        _ url: String,
        _ headers: [(name: String, value: String)],
        _ body: [UInt8]
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: url)
        request.method = HTTPMethod(rawValue: method)
        request.headers = HTTPHeaders(headers.filter { $0.name.lowercased() != "content-length" })
        if !body.isEmpty || method == "PUT" { request.body = .bytes(ByteBuffer(bytes: body)) }
        do {
            let response = try await client.execute(request, timeout: .seconds(60))
            // What is looked at is small.
            let bytes = try await response.body.collect(upTo: 1 << 20)
            return Answer(status: Int(response.status.code), body: Array(bytes.readableBytesView))
        } catch {
            try Task.checkCancellation()
            throw HawserError(
                .unavailable,
                "The storage does not answer, or not as one that speaks S3. Check its address.",
                place: origin,
                cause: error,
                isRetryable: true
            )
        }
    }
}
