import AsyncHTTPClient
import Crypto
import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
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
    /// Seconds: near the limit of the quota, so that an end of it is felt soon, and in the hands of other programs.
    private static let shortLife = 3600
    // Amazon's and Ceph's least, and the longest that both let a role's sessions be.
    private static let leastLife = 900
    private static let longestOfRole = Duration.seconds(43_200)
    // Of several gateways of a storage some may hear of it a moment later.
    private static let pausesForNewRole: [Duration] = [.milliseconds(250), .milliseconds(500), .seconds(1)]

    private let database: ConfigurationDatabase
    private let logger: Logger
    /// Seconds: the longest life that each storage has granted or not yet refused.
    private let longest = Mutex<[ControlID: Int]>([:])
    /// Those that sign uploads are the server's own and stay in memory.
    private let signing = Mutex<[ControlID: Signer]>([:])
    /// ARNs of the roles that this process has made or set anew, by their names.
    private let roles = Mutex<[String: (arn: String, by: Maker)]>([:])
    /// Configurations that are there.
    private let described = Mutex<Set<String>>([])
    private let folders = Mutex<[ControlID: AsyncSemaphore]>([:])

    private struct Signer {
        var credentials: S3Credentials
        var until: Moment
        var by: Maker
    }

    /// What credentials or a role were made by.
    private struct Maker: Equatable {
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
        return try await alone(folder.id) { try await temporaryNow(storage, account, purpose) }
    }

    /// Issuing and revoking wait for each other: what a role that is being removed still gave would be kept, dead, and given
    /// to everybody who comes.
    private func alone<Result>(_ folder: ControlID, _ body: () async throws -> Result) async throws -> Result {
        let semaphore = folders.withLock { StorageWork.semaphore(folder, &$0) }
        try await semaphore.take()
        defer { semaphore.give() }
        return try await body()
    }

    private func temporaryNow(
        _ storage: StorageRecord,
        _ account: Account,
        _ purpose: Purpose
    ) async throws -> Issued {
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
            FolderPolicy(folder, in: storage.settings),
            .purpose(purpose),
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

    /// For other programs than the tenant's vault: never those that a vault has, so that what the storage logs of their key
    /// belongs to one entry of the audit log; and for an hour, because only roles of the folder's own can be taken back.
    func exported(_ storage: StorageRecord, folder: FolderRecord, purpose: Purpose) async throws -> Issued {
        let (credentials, life) = try await alone(folder.id) {
            try await assume(
                storage,
                FolderPolicy(folder, in: storage.settings),
                .purpose(purpose),
                atMost: Self.shortLife
            )
        }
        return Issued(
            credentials: credentials,
            generation: try await database.credentialsGeneration(folder: folder.id),
            expiresIn: life
        )
    }

    /// What signs uploads into the folder: temporary credentials that can do nothing else, or where the storage makes none
    /// its own key.
    func signer(_ storage: StorageRecord, folder: FolderRecord) async throws -> S3Credentials {
        guard storage.settings.sts != nil else { return try await key(of: storage) }
        let maker = try await maker(storage)
        func kept() -> S3Credentials? {
            signing.withLock { $0[folder.id] }.flatMap {
                database.clock.steady < $0.until && $0.by == maker ? $0.credentials : nil
            }
        }
        // The storage is not asked, so nobody waits for who asks it.
        if let kept = kept() { return kept }
        return try await alone(folder.id) {
            if let kept = kept() { return kept }
            let now = database.clock.steady
            let (credentials, life) = try await assume(
                storage,
                FolderPolicy(folder, in: storage.settings),
                .create,
                atMost: Self.shortLife
            )
            // A ticket may not outlive what signed it.
            let until = now + life - min(.seconds(database.ledgerSettings.ticketLifetime), life / 2)
            signing.withLock { $0[folder.id] = Signer(credentials: credentials, until: until, by: maker) }
            return credentials
        }
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
        _ folder: FolderPolicy,
        _ rights: FolderPolicy.Rights,
        atMost: Int? = nil
    ) async throws -> (S3Credentials, Duration) {
        let sts = try tokens(storage)
        let configuration = try S3Configuration(storage.settings, folder: "")
        let endpoint = Self.endpoint(sts, configuration)
        let owner = StaticCredentials(try await key(of: storage))
        var seconds = min(max(sts.lifetime, Self.leastLife), longest.withLock { $0[storage.id] } ?? .max)
        if let atMost { seconds = min(seconds, atMost) }
        return try await HTTPClient.withHTTPClient(configuration: .init(configuration)) { client in
            await describe(storage, folder, client)
            let role = try await role(storage, folder, rights.role, owner, client)
            let client = STSClient(endpoint, client: client)
            var pauses = role.isNew ? Self.pausesForNewRole[...] : []
            while true {
                let request = AssumeRoleRequest(
                    roleARN: role.arn,
                    sessionName: "hawser",
                    duration: .seconds(seconds),
                    policy: try folder.document(rights),
                    externalID: sts.externalID,
                    referer: role.referer
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
                } catch let error as HawserError where error.code == .accessDenied && !pauses.isEmpty {
                    try await Task.sleep(for: pauses.removeFirst())
                } catch {
                    // Somebody may have removed it: the next time it is made again.
                    _ = roles.withLock { $0.removeValue(forKey: rights.role.name(folder.id)) }
                    throw error
                }
            }
        }
    }

    private static func endpoint(_ sts: SecurityTokenSettings, _ configuration: S3Configuration) -> STSEndpoint {
        sts.endpoint.map { STSEndpoint(url: $0, region: configuration.region) }
            ?? configuration.stsEndpoint(AWSEnvironment([:]))
    }

    /// Writes the repository's configuration before anybody gets credentials that reach it. A storage that is full takes
    /// none, and who restores needs none.
    private func describe(_ storage: StorageRecord, _ folder: FolderPolicy, _ client: HTTPClient) async {
        let place = "\(storage.settings.endpoint)/\(storage.settings.bucket)/\(folder.configuration)"
        guard !described.withLock({ $0.contains(place) }) else { return }
        do {
            try await writeConfiguration(storage, folder, client)
            _ = described.withLock { $0.insert(place) }
        } catch {
            logger.warning(
                "The repository's configuration is not in the storage",
                metadata: ["storage": "\(storage.id)", "key": "\(folder.configuration)", "error": "\(error)"]
            )
        }
    }

    private func writeConfiguration(
        _ storage: StorageRecord,
        _ folder: FolderPolicy,
        _ client: HTTPClient
    ) async throws {
        let requests = try RawRequests(client, storage.settings)
        let key = try await key(of: storage)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let wanted = Array(try encoder.encode(RepositoryDescription(repository: folder.repository)))
        let found = try await requests.send("GET", folder.configuration, as: key)
        guard !found.isSuccess || found.body != wanted else { return }
        let written = try await requests.send("PUT", folder.configuration, body: wanted, as: key)
        guard written.isSuccess else {
            throw HawserError(.unavailable, "The storage does not take it (HTTP \(written.status)).")
        }
    }

    // MARK: Roles

    /// The one that the provider has set up, or the folder's own, made or set as it must be.
    private func role(
        _ storage: StorageRecord,
        _ folder: FolderPolicy,
        _ role: FolderRole,
        _ owner: StaticCredentials,
        _ client: HTTPClient
    ) async throws -> (arn: String, referer: String?, isNew: Bool) {
        let sts = try tokens(storage)
        guard let principal = sts.principal else { return (sts.roleARN ?? "", nil, false) }
        let (name, maker) = (role.name(folder.id), try await maker(storage))
        let referer = Self.referer(name, maker)
        if let made = roles.withLock({ $0[name] }), made.by == maker { return (made.arn, referer, false) }
        let arn = try await roleClient(storage, client).put(
            name,
            trust: FolderPolicy.trust(principal: principal, referer: referer),
            policy: folder.document(role.rights),
            longest: Self.longestOfRole,
            with: owner
        )
        roles.withLock { $0[name] = (arn, maker) }
        return (arn, referer, true)
    }

    /// What was issued for the folder is of no use from now on, where it has roles of its own; else it ends when it ends.
    /// Nobody is given it any more.
    func revoke(_ storage: StorageRecord, folder: ControlID) async throws {
        try await alone(folder) {
            try await database.noteRevoked(folder, isDead: try await removeRoles(storage, folder: folder))
        }
    }

    /// - Returns: whether the folder has roles of its own, which are gone now with all that they gave.
    @discardableResult
    func removeRoles(_ storage: StorageRecord, folder: ControlID) async throws -> Bool {
        guard storage.settings.sts?.principal != nil else { return false }
        let owner = StaticCredentials(try await key(of: storage))
        let configuration = try S3Configuration(storage.settings, folder: "")
        try await HTTPClient.withHTTPClient(configuration: .init(configuration)) { client in
            let client = try roleClient(storage, client)
            for role in FolderRole.allCases {
                let name = role.name(folder)
                try await client.remove(name, with: owner)
                _ = roles.withLock { $0.removeValue(forKey: name) }
            }
        }
        _ = signing.withLock { $0.removeValue(forKey: folder) }
        return true
    }

    func roleClient(_ storage: StorageRecord, _ client: HTTPClient) throws -> RoleClient {
        RoleClient(
            Self.endpoint(try tokens(storage), try S3Configuration(storage.settings, folder: "")),
            client: client
        )
    }

    /// Known to this server alone, and another one with each key of the storage.
    private static func referer(_ name: String, _ maker: Maker) -> String {
        let key = SymmetricKey(data: maker.secret?.bytes ?? [])
        return HMAC<SHA256>.authenticationCode(for: Data("hawser role \(name)".utf8), using: key).hex
    }

    private func maker(_ storage: StorageRecord) async throws -> Maker {
        Maker(settings: storage.settings, secret: try await database.storageSecret(storage.id))
    }

    private func tokens(_ storage: StorageRecord) throws -> SecurityTokenSettings {
        guard let sts = storage.settings.sts else {
            throw HawserError(
                .unsupported,
                "The storage is not set up for temporary credentials: give --sts-role or --sts-principal.",
                place: storage.name
            )
        }
        return sts
    }

    /// As somebody who has credentials of a role already: for trying what must not work.
    func assume(
        _ storage: StorageRecord,
        _ folder: FolderPolicy,
        policy: String?,
        as session: S3Credentials,
        _ client: HTTPClient
    ) async throws -> S3Credentials {
        let sts = try tokens(storage)
        let endpoint = Self.endpoint(sts, try S3Configuration(storage.settings, folder: ""))
        let owner = StaticCredentials(try await key(of: storage))
        return try await STSClient(endpoint, client: client).assumeRole(
            AssumeRoleRequest(
                // A hostile tenant knows the name of a role, and never its word.
                roleARN: try await role(storage, folder, .write, owner, client).arn,
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

/// `repository.json`: what lies in the folders beside it. All tenants of a repository may read it.
private struct RepositoryDescription: Encodable {
    var schema = 1
    var software = "hawser"
    var repository: ControlID
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
