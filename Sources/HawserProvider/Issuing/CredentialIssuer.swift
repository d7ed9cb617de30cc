import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserS3
import Logging
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Gets credentials for tenants from storages.
final class CredentialIssuer: Sendable {
    /// What goes to a vault.
    struct Issued: Sendable {
        var credentials: S3Credentials
        var generation: Int
        /// `nil`: they don't end.
        var expiresIn: Duration?
    }

    /// What may be left, at most, before they are made anew: a day bridges what a server can be away for.
    private static let longestLead = Duration.seconds(86_400)
    /// Near the limit of the quota credentials live for an hour, so that an end of it is felt soon.
    private static let shortLife = 3600
    // Amazon's and Ceph's least.
    private static let leastLife = 900

    private let database: ConfigurationDatabase
    private let logger: Logger
    /// Seconds: the longest life that each storage has granted or not yet refused.
    private let longest = Mutex<[ControlID: Int]>([:])
    /// Those that sign uploads are the server's own and stay in memory.
    private let signing = Mutex<[ControlID: Signer]>([:])

    private struct Signer {
        var credentials: S3Credentials
        var until: Moment
        /// What they were made by.
        var settings: StorageSettings
        var secret: Secret?
    }

    init(_ database: ConfigurationDatabase, logger: Logger) {
        self.database = database
        self.logger = logger
    }

    /// The storage's own key.
    func shared(_ storage: StorageRecord, folder: FolderRecord) async throws -> Issued {
        Issued(
            credentials: try await key(of: storage),
            generation: try await database.credentialsGeneration(folder: folder.id),
            expiresIn: nil
        )
    }

    /// Temporary ones of the folder, those of the last session while they are fresh.
    func temporary(_ storage: StorageRecord, folder account: Account, purpose: Purpose) async throws -> Issued {
        let folder = account.own
        if let (record, secret) = try await database.credential(folder: folder.id, purpose: purpose),
            let kept = try? JSONDecoder().decode(Kept.self, from: Data(secret.bytes))
        {
            let (left, life) = (record.expires - database.clock.steady, record.expires - record.issued)
            if left > min(Self.longestLead, life / 3), !isNearLimit(account) || left <= .seconds(Self.shortLife) {
                return Issued(credentials: kept.credentials, generation: record.generation, expiresIn: left)
            }
        }
        let (credentials, life) = try await assume(
            storage,
            FolderPolicy(folder, in: storage.settings).document(.purpose(purpose)),
            atMost: isNearLimit(account) ? Self.shortLife : nil
        )
        let record = try await database.setCredential(
            folder: folder.id,
            purpose: purpose,
            Secret(Array(try JSONEncoder().encode(Kept(credentials)))),
            lifetime: life
        )
        return Issued(credentials: credentials, generation: record.generation, expiresIn: life)
    }

    /// What signs uploads into the folder: temporary credentials that can do nothing else, or where the storage makes none
    /// its own key.
    func signer(_ storage: StorageRecord, folder: FolderRecord) async throws -> S3Credentials {
        guard storage.settings.sts != nil else { return try await key(of: storage) }
        let now = database.clock.steady
        let secret = try await database.storageSecret(storage.id)
        if let kept = signing.withLock({ $0[folder.id] }), now < kept.until, kept.settings == storage.settings,
            kept.secret == secret
        {
            return kept.credentials
        }
        let (credentials, life) = try await assume(
            storage,
            FolderPolicy(folder, in: storage.settings).document(.create),
            atMost: Self.shortLife
        )
        // A ticket may not outlive what signed it.
        let until = now + life - min(.seconds(database.ledgerSettings.ticketLifetime), life / 2)
        let kept = Signer(credentials: credentials, until: until, settings: storage.settings, secret: secret)
        signing.withLock { $0[folder.id] = kept }
        return credentials
    }

    func key(of storage: StorageRecord) async throws -> S3Credentials {
        guard let secret = try await database.storageSecret(storage.id) else {
            throw HawserError(.accessDenied, "The storage has no secret key.", place: storage.name)
        }
        return S3Credentials(accessKeyID: storage.settings.accessKeyID, secretAccessKey: secret)
    }

    private func isNearLimit(_ account: Account) -> Bool {
        account.all.contains { folder in folder.limit.map { folder.used >= $0 / 10 * 9 } ?? false }
    }

    /// - Throws: `unsupported` when the storage is not set up for it; what STS answers.
    func assume(
        _ storage: StorageRecord,
        _ policy: String,
        atMost: Int? = nil
    ) async throws -> (S3Credentials, Duration) {
        guard let sts = storage.settings.sts else {
            throw HawserError(
                .unsupported,
                "The storage is not set up for temporary credentials: give --sts-role.",
                place: storage.name
            )
        }
        let configuration = try S3Configuration(storage.settings, folder: "")
        let endpoint = Self.endpoint(sts, configuration)
        let owner = StaticCredentials(try await key(of: storage))
        var seconds = min(max(sts.lifetime, Self.leastLife), longest.withLock { $0[storage.id] } ?? .max)
        if let atMost { seconds = min(seconds, atMost) }
        return try await HTTPClient.withHTTPClient(configuration: .init(configuration)) { client in
            let client = STSClient(endpoint, client: client)
            while true {
                let request = AssumeRoleRequest(
                    roleARN: sts.roleARN,
                    sessionName: "hawser",
                    duration: .seconds(seconds),
                    policy: policy,
                    externalID: sts.externalID
                )
                do {
                    let credentials = try await client.assumeRole(request, with: owner)
                    // Some shorten what was asked for and do not say so.
                    let left = credentials.expiration.map { Moment($0) - database.clock.wall } ?? .seconds(seconds)
                    return (credentials, min(.seconds(seconds), max(.zero, left)))
                } catch let error as HawserError where error.code == .invalidArgument && seconds > Self.leastLife {
                    // Storages say that a life is too long, and not how long it may be.
                    seconds = Self.shorter(seconds)
                    let learned = seconds
                    longest.withLock { $0[storage.id] = min($0[storage.id] ?? .max, learned) }
                    logger.info(
                        "The storage grants credentials for a shorter time only",
                        metadata: ["storage": "\(storage.id)", "seconds": "\(seconds)"]
                    )
                }
            }
        }
    }

    private static func endpoint(_ sts: SecurityTokenSettings, _ configuration: S3Configuration) -> STSEndpoint {
        sts.endpoint.map { STSEndpoint(url: $0, region: configuration.region) }
            ?? configuration.stsEndpoint(AWSEnvironment([:]))
    }

    /// As somebody who has credentials of the role already: for trying what must not work.
    func assume(
        _ storage: StorageRecord,
        _ policy: String?,
        as session: S3Credentials,
        _ client: HTTPClient
    ) async throws -> S3Credentials {
        guard let sts = storage.settings.sts else { throw HawserError(.unsupported, "There is no role.") }
        let endpoint = Self.endpoint(sts, try S3Configuration(storage.settings, folder: ""))
        return try await STSClient(endpoint, client: client).assumeRole(
            AssumeRoleRequest(
                roleARN: sts.roleARN,
                sessionName: "hawser",
                duration: .seconds(Self.leastLife),
                policy: policy,
                externalID: sts.externalID
            ),
            with: StaticCredentials(session)
        )
    }

    /// The next of the lives that storages have as their limits.
    private static func shorter(_ seconds: Int) -> Int {
        [7 * 86_400, 86_400, 43_200, 3600].first { $0 < seconds } ?? leastLife
    }
}

/// Credentials as the configuration database has them, sealed.
private struct Kept: Codable {
    var id: String
    var secret: Data
    var token: Data?

    init(_ credentials: S3Credentials) {
        id = credentials.accessKeyID
        secret = Data(credentials.secretAccessKey.bytes)
        token = credentials.sessionToken.map { Data($0.bytes) }
    }

    var credentials: S3Credentials {
        S3Credentials(
            accessKeyID: id,
            secretAccessKey: Secret(Array(secret)),
            sessionToken: token.map { Secret(Array($0)) }
        )
    }
}
