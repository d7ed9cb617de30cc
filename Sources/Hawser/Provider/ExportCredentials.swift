public import HawserControl
import HawserFormat
public import HawserS3
public import Logging
import Synchronization

/// Temporary credentials of a tenant's folder for another program, and where the folder is.
public struct ExportedCredentials: Sendable {
    public var storage: Grant.Storage
    /// Below it, and nowhere else, they are good; ends with `/`.
    public var folder: String
    /// Has an end.
    public var credentials: S3Credentials
}

/// Asks a provider for temporary credentials that another program may use for an hour or less, as its purpose allows. The
/// provider can refuse that, and logs it.
///
/// This is the one way by which a storage's secret leaves the ``CredentialVault``: backups and restores don't need it.
///
/// - Parameters:
///   - repository: its name at the provider; `nil` when there is only one.
///   - purpose: `restore` reads only; `backup` creates and replaces too, `full` also deletes.
///   - subtenant: whose folder, with purpose `restore`; `nil`: the machine's own.
///   - agent: name and version of the program, shown to the provider.
///   - onProfileChange: the provider has named other gateways or authorities: to be kept for the next time.
/// - Throws: `accessDenied` when the provider forbids it, or would hand out his own key; `unsupported` when there are no
///   credentials, because he signs each request or data goes through a gateway server, and for a server that does not know
///   of exports; otherwise as ``withProviderTarget(_:key:repository:purpose:subtenant:agent:settings:logger:onProfileChange:layers:_:)``.
public func exportCredentials(
    _ profile: ProviderProfile,
    key: DeviceKey,
    repository name: String? = nil,
    purpose: Purpose = .restore,
    subtenant: String? = nil,
    agent: String,
    logger: Logger = Logger(label: "hawser.provider"),
    onProfileChange: @escaping @Sendable (ProviderProfile) async -> Void = { _ in }
) async throws -> ExportedCredentials {
    try await withProviderConnection(
        profile,
        key: key,
        purpose: purpose,
        subtenant: subtenant,
        agent: agent,
        logger: logger,
        onProfileChange: onProfileChange
    ) { connection in
        let repository = try await connection.repository(called: name)
        let answer = Mutex<(storage: Grant.Storage, folder: String, end: Timestamp)?>(nil)
        let vault = try CredentialVault(logger: logger) { vaultKey in
            let session = try await connection.waitUntilConnected().session
            // By this machine's clock, as the program that uses them has it.
            let asked = Timestamp.now
            let grant = try await connection.grant(
                GrantRequest(purpose: purpose, vaultKey: vaultKey, export: true),
                repository: repository
            )
            guard grant.exported == true else {
                throw HawserError(
                    .unsupported,
                    "The provider's server is too old for this: it would not have logged that credentials go to another "
                        + "program."
                )
            }
            guard let session, let storage = grant.storage, let sealed = grant.credentials, let life = sealed.expiresIn,
                (0...1 << 40).contains(life)
            else {
                throw HawserError(.unsupported, "The provider's grant can't be used: it has no temporary credentials.")
            }
            let end = Timestamp(seconds: asked.seconds + Int64(life))
            answer.withLock { $0 = (storage, grant.folder, end) }
            return CredentialVault.Delivery(sealed, session: session)
        }
        let found = try await vault.withCredentials { $0 }
        guard let (storage, folder, end) = answer.withLock({ $0 }) else { throw CancellationError() }
        return ExportedCredentials(
            storage: storage,
            folder: folder,
            credentials: S3Credentials(
                accessKeyID: found.accessKeyID,
                secretAccessKey: found.secretAccessKey,
                sessionToken: found.sessionToken,
                expiration: end
            )
        )
    }
}
