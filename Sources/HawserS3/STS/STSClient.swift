public import AsyncHTTPClient
public import HawserFormat
import NIOCore
import NIOHTTP1

/// Where temporary credentials are made.
public struct STSEndpoint: Sendable, Hashable {
    /// `https://sts.eu-central-1.amazonaws.com`, or the address of a Ceph gateway.
    public var url: String
    /// That requests are signed for.
    public var region: String

    public init(url: String, region: String) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.region = region
    }

    /// AWS' own of a region.
    public static func aws(region: String) -> STSEndpoint {
        // China has a partition of its own.
        let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        return STSEndpoint(url: "https://sts.\(region).\(domain)", region: region)
    }
}

/// Asks STS for temporary credentials. It does not retry: whoever asks for credentials is asked again by the storage's
/// layer. Only when the caller's own credentials are refused and there are others, it repeats once.
public struct STSClient: Sendable {
    let endpoint: STSEndpoint
    private let service: String
    private let client: HTTPClient
    private let now: @Sendable () -> Timestamp

    // A server that is asked for credentials answers within some seconds; a job that waits for them waits no longer.
    private static let timeout = TimeAmount.seconds(60)

    public init(_ endpoint: STSEndpoint, client: HTTPClient) {
        self.init(endpoint, client: client, now: { .now })
    }

    /// - Parameter service: that signatures are for.
    init(
        _ endpoint: STSEndpoint,
        service: String = "sts",
        client: HTTPClient,
        now: @escaping @Sendable () -> Timestamp = { .now }
    ) {
        self.endpoint = endpoint
        self.service = service
        self.client = client
        self.now = now
    }

    /// - Parameter credentials: of who asks; the role must trust them.
    /// - Throws: `accessDenied`; `invalidArgument` for a policy, name or duration that is not accepted; `unsupported` where
    ///   there is no STS; `unavailable`.
    public func assumeRole(
        _ request: AssumeRoleRequest,
        with credentials: any S3CredentialsProvider
    ) async throws -> S3Credentials {
        try await send(request.form("AssumeRole"), with: credentials)
    }

    /// Temporary credentials with the rights of `credentials`. Permanent ones are needed.
    public func sessionToken(
        duration: Duration,
        with credentials: any S3CredentialsProvider
    ) async throws -> S3Credentials {
        var form = STSForm("GetSessionToken")
        try form.add(duration)
        return try await send(form, with: credentials)
    }

    /// - Parameter token: of an identity provider that the role trusts: it takes the place of credentials.
    public func assumeRole(_ request: AssumeRoleRequest, webIdentity token: Secret) async throws -> S3Credentials {
        var form = try request.form("AssumeRoleWithWebIdentity")
        form.add("WebIdentityToken", String(decoding: token.bytes, as: UTF8.self))
        return try await credentials(from: answer(to: try signable(form), body: form.bytes))
    }

    private func send(_ form: STSForm, with credentials: any S3CredentialsProvider) async throws -> S3Credentials {
        let (first, keyID) = try await signedAnswer(to: form, credentials)
        // Ceph can't say whether a key has ended or may not: each refusal is worth one renewal.
        guard first.status == 403 || first.status == 400, try await credentials.renew(refused: keyID) else {
            return try self.credentials(from: first)
        }
        return try self.credentials(from: await signedAnswer(to: form, credentials).answer)
    }

    func signedAnswer(
        to form: STSForm,
        _ credentials: any S3CredentialsProvider
    ) async throws -> (answer: CredentialsEndpoint.Answer, accessKeyID: String) {
        let request = try signable(form)
        let (signer, date) = (SigV4Signer(region: endpoint.region, service: service), now())
        let (signed, keyID) = try await credentials.withCredentials { credentials in
            var request = request
            signer.sign(&request, with: credentials, at: date)
            return (request, credentials.accessKeyID)
        }
        return (try await answer(to: signed, body: form.bytes), keyID)
    }

    private func signable(_ form: STSForm) throws -> SigV4Request {
        guard let start = endpoint.url.firstRange(of: "://") else {
            throw HawserError(.invalidArgument, "The address of STS must begin with https://.", place: endpoint.url)
        }
        let rest = endpoint.url[start.upperBound...]
        let host = rest.prefix { $0 != "/" }
        return SigV4Request(
            method: "POST",
            host: String(host),
            path: rest.count == host.count ? "/" : String(rest[host.endIndex...]),
            headers: [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
                + (form.referer.map { [("referer", $0)] } ?? []),
            payload: .sha256(.sha256(of: form.bytes))
        )
    }

    private func answer(to request: SigV4Request, body: [UInt8]) async throws -> CredentialsEndpoint.Answer {
        var outgoing = HTTPClientRequest(url: endpoint.url + (request.path == "/" ? "/" : ""))
        outgoing.method = .POST
        outgoing.headers = HTTPHeaders(request.headers.map { ($0.name, $0.value) })
        outgoing.body = .bytes(ByteBuffer(bytes: body))
        return try await client.smallAnswer(to: outgoing, timeout: Self.timeout)
    }

    private func credentials(from answer: CredentialsEndpoint.Answer) throws -> S3Credentials {
        guard answer.status == 200 else {
            throw STSRefusal.error(status: answer.status, answer.body, from: endpoint.url)
        }
        return try STSAnswer.credentials(answer.body, from: endpoint.url)
    }
}
