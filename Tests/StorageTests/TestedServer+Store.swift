import AsyncHTTPClient
import HawserFormat
import HawserS3
import HawserStorage

extension TestedServer {
    /// A store in a folder of the bucket, set up for what the server lacks.
    func withStore<Result>(
        _ prefix: String = freshPrefix(),
        key: Key? = nil,
        _ body: (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        let configuration = S3Configuration(
            endpoint: try S3Endpoint(parsing: endpoint),
            region: region,
            bucket: bucket,
            prefix: prefix,
            sendsContentMD5: lacks.contains(.checksSHA256),
            hasConditionalPuts: !lacks.contains(.conditionalPut)
        )
        return try await S3ObjectStore.withStore(configuration, credentials: (key ?? self.key).credentials) {
            try await body($0)
        }
    }

    /// Temporary credentials of the role, with no more rights than `policy`.
    func assumeRole(policy: String) async throws -> Key {
        guard let role = extra("ROLE") else { throw HawserError(.unsupported, "The server has no role.") }
        let client = STSClient(STSEndpoint(url: endpoint, region: region), client: .shared)
        let found = try await client.assumeRole(
            AssumeRoleRequest(roleARN: role, policy: policy),
            with: key.credentials
        )
        return Key(
            id: found.accessKeyID,
            secret: String(decoding: found.secretAccessKey.bytes, as: UTF8.self),
            token: found.sessionToken.map { String(decoding: $0.bytes, as: UTF8.self) }
        )
    }
}

extension TestedServer.Key {
    var credentials: StaticCredentials {
        StaticCredentials(
            accessKeyID: id,
            secretAccessKey: Secret(Array(secret.utf8)),
            sessionToken: token.map { Secret(Array($0.utf8)) }
        )
    }
}

extension ObjectStore {
    func waitForPacks(count: Int) async throws {
        while try await packs().count < count { try await Task.sleep(for: .milliseconds(50)) }
    }

    func packBytes() async throws -> Int {
        try await packs().map(\.length).reduce(0, +)
    }

    private func packs() async throws -> [ObjectInfo] {
        try await list(prefix: ObjectKind.dataPack.prefix, after: nil, limit: ObjectListing.pageSize)
    }
}
