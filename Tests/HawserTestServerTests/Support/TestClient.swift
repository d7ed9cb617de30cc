import AsyncHTTPClient
import Crypto
import Foundation
import HTTPTypes
import HawserFormat
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@testable import HawserTestServer

/// A client that sends exactly what a test wants. It signs with the server's own code, which `SignatureTests` hold
/// against requests of botocore.
struct TestClient {
    let server: S3TestServer
    var accessKeyID = S3TestServer.Configuration.User.test.accessKeyID
    var secretAccessKey = S3TestServer.Configuration.User.test.secretAccessKey
    var token: String?
    var http = HTTPClient.shared
    var host: String?

    struct Reply {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }

        /// Of the first element of this name.
        func element(_ name: String) -> String? { elements(name).first }

        func elements(_ name: String) -> [String] {
            text.split(separator: "<\(name)>").dropFirst().compactMap {
                $0.split(separator: "</\(name)>", omittingEmptySubsequences: false).first.map(String.init)
            }
        }

        var code: String? { element("Code") }
    }

    init(_ server: S3TestServer) {
        self.server = server
    }

    /// With the keys of an answer of STS.
    init(_ server: S3TestServer, session: Reply) throws {
        self.server = server
        accessKeyID = try #require(session.element("AccessKeyId"))
        secretAccessKey = try #require(session.element("SecretAccessKey"))
        token = session.element("SessionToken")
        #expect(token != nil)
    }

    /// - Parameters:
    ///   - payload: instead of the SHA-256 of the body.
    ///   - unsigned: headers that are added after signing.
    func send(
        _ method: String,
        _ target: String,
        headers: [String: String] = [:],
        body: [UInt8] = [],
        payload: String? = nil,
        unsigned: [String: String] = [:],
        service: String = "s3"
    ) async throws -> Reply {
        let hash = payload ?? hexadecimal(SHA256.hash(data: body))
        var signed = headers
        signed["x-amz-date"] = server.configuration.now().basic
        if service == "s3" { signed["x-amz-content-sha256"] = hash }
        if let token { signed["x-amz-security-token"] = token }
        signed["authorization"] = try authorization(method, target, signed, service: service, hash: hash)
        return try await execute(method, target, signed.merging(unsigned) { $1 }, body)
    }

    func execute(
        _ method: String,
        _ target: String,
        _ headers: [String: String],
        _ body: [UInt8] = []
    ) async throws -> Reply {
        var request = HTTPClientRequest(url: server.endpoint + target)
        request.method = NIOHTTP1.HTTPMethod(rawValue: method)
        request.headers = HTTPHeaders(headers.map { ($0.key, $0.value) })
        if let host { request.headers.replaceOrAdd(name: "host", value: host) }
        if !body.isEmpty || method == "PUT" || method == "POST" { request.body = .bytes(ByteBuffer(bytes: body)) }
        let response = try await http.execute(request, timeout: .minutes(5))
        let names = response.headers.map { ($0.name.lowercased(), $0.value) }
        return Reply(
            status: Int(response.status.code),
            headers: Dictionary(names) { $0 + "," + $1 },
            body: Array(try await response.body.collect(upTo: 64 << 20).readableBytesView)
        )
    }

    /// Without a Content-Length.
    func sendChunked(_ target: String, _ body: [UInt8]) async throws -> Reply {
        var headers = ["x-amz-date": server.configuration.now().basic, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"]
        headers["authorization"] = try authorization("PUT", target, headers, service: "s3", hash: "UNSIGNED-PAYLOAD")
        var request = HTTPClientRequest(url: server.endpoint + target)
        request.method = .PUT
        request.headers = HTTPHeaders(headers.map { ($0.key, $0.value) })
        request.body = .stream(AsyncStream { body.isEmpty ? nil : ByteBuffer(bytes: body) }.prefix(1), length: .unknown)
        let response = try await http.execute(request, timeout: .minutes(5))
        return Reply(
            status: Int(response.status.code),
            headers: [:],
            body: Array(try await response.body.collect(upTo: 1 << 20).readableBytesView)
        )
    }

    private var authority: String { host ?? "127.0.0.1:\(server.port)" }

    private func authorization(
        _ method: String,
        _ target: String,
        _ headers: [String: String],
        service: String,
        hash: String
    ) throws -> String {
        let names = (headers.keys.map { $0.lowercased() } + ["host"]).sorted().joined(separator: ";")
        let day = server.configuration.now().basic.prefix(8)
        let unsigned =
            "AWS4-HMAC-SHA256 Credential=\(accessKeyID)/\(day)/\(server.configuration.region)/\(service)/aws4_request, "
            + "SignedHeaders=\(names), Signature="
        var head = HTTPRequest(
            method: try #require(HTTPRequest.Method(rawValue: method)),
            scheme: "http",
            authority: authority,
            path: target
        )
        for (name, value) in headers { head.headerFields[try #require(HTTPField.Name(name))] = value }
        head.headerFields[.authorization] = unsigned + "0"
        let request = try IncomingRequest(head, domain: server.configuration.domain, isSecure: false)
        let signature = SignatureV4(request, try #require(try Authorization(request)), payload: hash)
        return unsigned + signature.signature(secretAccessKey: secretAccessKey)
    }

    // MARK: Shorthands

    @discardableResult
    func put(_ key: String, _ body: [UInt8], headers: [String: String] = [:]) async throws -> Reply {
        try await send("PUT", "/hawser/" + Self.escaped(key), headers: headers, body: body)
    }

    func get(_ key: String, range: String? = nil) async throws -> Reply {
        try await send("GET", "/hawser/" + Self.escaped(key), headers: range.map { ["range": $0] } ?? [:])
    }

    func delete(_ key: String) async throws -> Reply {
        try await send("DELETE", "/hawser/" + Self.escaped(key))
    }

    func list(_ query: String = "") async throws -> Reply {
        try await send("GET", "/hawser?list-type=2" + query)
    }

    func sts(_ form: [String: String]) async throws -> Reply {
        let pairs = form.map { PercentCoding.encode($0.key.utf8) + "=" + PercentCoding.encode($0.value.utf8) }
        return try await send(
            "POST",
            "/",
            headers: ["content-type": "application/x-www-form-urlencoded"],
            body: Array(pairs.joined(separator: "&").utf8),
            service: "sts"
        )
    }

    func assumeRole(policy: String? = nil, seconds: Int? = nil, role: String = "arn:aws:iam::1:role/r") async throws
        -> Reply
    {
        var form = ["Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "test"]
        form["Policy"] = policy
        form["DurationSeconds"] = seconds.map(String.init)
        return try await sts(form)
    }

    static func escaped(_ key: String) -> String {
        PercentCoding.encode(key.utf8, keeping: UInt8(ascii: "/"))
    }
}

/// A clock that tests move.
final class SteppedClock: Sendable {
    private let seconds = Mutex(Int64(1_795_646_347))

    var now: Timestamp { Timestamp(seconds: seconds.withLock { $0 }) }

    func advance(by count: Int64) { seconds.withLock { $0 += count } }
}

extension S3TestServer.Configuration {
    static func with(_ change: (inout Self) -> Void) -> Self {
        var configuration = Self()
        change(&configuration)
        return configuration
    }
}

/// A folder that goes with the test.
func withTemporaryFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/hawser-" + Accounts.randomText(16)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}
