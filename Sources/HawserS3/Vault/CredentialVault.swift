import Crypto
import HawserFormat
import HawserStorage
public import Logging

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// The only place on a tenant's machine where a storage's secret is: sealed in memory, opened for one signature, wiped
/// after, never written anywhere.
///
/// Credentials come sealed to a key that the vault makes for that one request. They are renewed when less than a day (or a
/// third of their life, if that is shorter) is left, and when the storage refuses them.
public actor CredentialVault: S3CredentialsProvider {
    /// What a provider answers.
    public struct Delivery: Sendable {
        public var credentials: SealedS3Credentials
        /// What they are bound to: the session's id.
        public var info: Data
        /// From when they were asked for; `nil`: without an end.
        public var expiresIn: Duration?

        public init(credentials: SealedS3Credentials, info: Data, expiresIn: Duration?) {
            self.credentials = credentials
            self.info = info
            self.expiresIn = expiresIn
        }
    }

    private struct Entry: HeldCredentials {
        var accessKeyID: String
        var secret: SecretPage.Sealed
        /// Goes over the wire with each request, as it is.
        var token: Secret?
    }

    // A day bridges what a provider's server can be away for.
    private static let longestLead = Duration.seconds(86_400)

    private let page: SecretPage
    private let fetch: @Sendable (_ vaultKey: Data) async throws -> Delivery
    private let stopwatch: Stopwatch
    private let clock: any Clock<Duration>
    private lazy var renewal = Renewal<Entry>(longestLead: Self.longestLead, clock: clock) { [weak self] in
        guard let self else { throw CancellationError() }
        return try await self.load()
    }

    /// - Parameter fetch: asks the provider for credentials that are sealed to `vaultKey` (X25519, raw).
    public init(
        logger: Logger = Logger(label: "hawser.vault"),
        fetch: @escaping @Sendable (_ vaultKey: Data) async throws -> Delivery
    ) throws {
        try self.init(clock: ContinuousClock(), logger: logger, fetch: fetch)
    }

    init(
        clock: any Clock<Duration>,
        logger: Logger,
        fetch: @escaping @Sendable (_ vaultKey: Data) async throws -> Delivery
    ) throws {
        page = try SecretPage()
        self.clock = clock
        self.fetch = fetch
        stopwatch = Stopwatch(clock)
        if !page.isLocked {
            logger.warning(
                "Credentials can't be kept from swap space: raise the limit of locked memory (RLIMIT_MEMLOCK)"
            )
        }
    }

    private func load() async throws -> Renewal<Entry>.Loaded {
        // For one answer: once it is opened nobody can open it again.
        let key = Curve25519.KeyAgreement.PrivateKey()
        let asked = stopwatch.elapsed()
        let delivery = try await fetch(key.publicKey.rawRepresentation)
        let entry = try delivery.credentials.open(with: key, info: delivery.info) { id, secret, token in
            Entry(accessKeyID: id, secret: try page.seal(secret), token: token)
        }
        return .init(
            credentials: entry,
            lifetime: delivery.expiresIn.map { $0 - (stopwatch.elapsed() - asked) }
        )
    }

    public func withCredentials<Result: Sendable>(
        _ use: @Sendable (S3Credentials) throws -> Result
    ) async throws -> Result {
        while true {
            let entry = try await renewal.current()
            let result = try page.withOpened(entry.secret) { secret in
                try use(
                    S3Credentials(
                        accessKeyID: entry.accessKeyID,
                        secretAccessKey: Secret(copying: secret),
                        sessionToken: entry.token
                    )
                )
            }
            // Otherwise they were renewed several times since.
            if let result { return result }
        }
    }

    public func renew(refused accessKeyID: String) async throws -> Bool {
        // Secrets are not compared: that would open both. Temporary ones differ in their tokens.
        try await renewal.renew(refused: accessKeyID) { new, old in new.token != old?.token }
    }

    /// The provider has other credentials now: the next request asks for them. Those at hand go on until then.
    public func outdate() {
        renewal.outdate()
    }
}
