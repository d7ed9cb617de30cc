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

/// A way to a provider's storage, as a grant opened it.
struct ProviderWay: Sendable {
    /// Counts the ways of a session.
    let number: Int
    let mode: ConnectionMode
    /// In direct mode.
    let access: AccessPermissions?
    /// Why it is this one, in the provider's words.
    let reason: String
    let fallback: Grant.Fallback
    let store: any ObjectStore
    /// Of the newest credentials that it was granted.
    let generation: Generation

    /// Whether this machine leases what it stores; otherwise whoever stores or signs for it reserves.
    var reserves: Bool { mode == .direct && access != .tickets }

    final class Generation: Sendable {
        private let value = Mutex(0)

        var current: Int { value.withLock { $0 } }

        func saw(_ generation: Int) {
            value.withLock { $0 = max($0, generation) }
        }
    }
}

/// Opens ways: what a grant says becomes a store.
struct ProviderWayOpener: Sendable {
    let connection: ProviderConnection
    let repository: ControlID
    let purpose: Purpose
    let logger: Logger

    /// - Parameter avoid: the way that has just failed.
    /// - Throws: what the provider answers; `unsupported` for a grant that this version can't use.
    func open(number: Int, avoid: ConnectionMode?) async throws -> ProviderWay {
        let generation = ProviderWay.Generation()
        // Whatever was issued up to now is in the grant.
        generation.saw(connection.status.repository(repository)?.credentialsGeneration ?? 0)
        let grant = try await connection.grant(GrantRequest(purpose: purpose, avoid: avoid), repository: repository)
        let store: any ObjectStore
        switch grant.mode {
        case .gateway:
            store = try await gatewayStore(grant)
        case .direct:
            guard let storage = grant.storage, let access = grant.access, access != .provider else {
                throw Self.unusable("it names no storage or no access")
            }
            let configuration = try S3Configuration(storage, folder: grant.folder)
            var reader: S3ObjectStore?
            if access != .tickets || grant.credentials != nil {
                let vault = try makeVault(grant, avoid, generation)
                reader = try S3ObjectStore(configuration, credentials: vault, logger: logger)
            }
            if access == .tickets {
                let desk = TicketDesk(connection: connection, repository: repository)
                store = try S3TicketStore(configuration, issuer: desk, reader: reader)
            } else if let reader {
                store = reader
            } else {
                throw Self.unusable("it has no credentials")
            }
        }
        logger.info(
            "Way to the storage",
            metadata: [
                "mode": "\(grant.mode.rawValue)", "access": "\(grant.access?.rawValue ?? "")",
                "reason": "\(grant.reason)",
            ]
        )
        return ProviderWay(
            number: number,
            mode: grant.mode,
            access: grant.access,
            reason: grant.reason,
            fallback: grant.fallback,
            store: store,
            generation: generation
        )
    }

    /// Each time that the vault wants credentials it asks for the grant anew, sealed to a key of that moment.
    private func makeVault(
        _ first: Grant,
        _ avoid: ConnectionMode?,
        _ generation: ProviderWay.Generation
    ) throws -> CredentialVault {
        try CredentialVault(logger: logger) { [connection, repository, purpose] vaultKey in
            let request = GrantRequest(purpose: purpose, vaultKey: vaultKey, avoid: avoid)
            let session = try await connection.waitUntilConnected().session
            let grant = try await connection.grant(request, repository: repository)
            guard grant.mode == first.mode, grant.access == first.access, grant.folder == first.folder,
                let credentials = grant.credentials, let session
            else { throw ProviderStore.changed }
            generation.saw(credentials.generation)
            return CredentialVault.Delivery(credentials, session: session)
        }
    }

    private func gatewayStore(_ grant: Grant) async throws -> GatewayStore {
        guard let server = grant.gatewayServer, let token = grant.gatewayToken else {
            throw Self.unusable("it names no gateway server")
        }
        let profile = await connection.profile
        return try GatewayStore(
            gateways: profile.gateways,
            serverName: server,
            token: token,
            authorities: profile.authorities,
            logger: logger
        )
    }

    private static func unusable(_ why: String) -> HawserError {
        HawserError(.unsupported, "The provider's grant can't be used, \(why): this program may be too old for it.")
    }
}

extension CredentialVault.Delivery {
    /// As a grant brings them.
    init(_ credentials: SealedCredentials, session: ControlID) {
        self.init(
            credentials: SealedS3Credentials(
                encapsulatedKey: credentials.encapsulatedKey,
                ciphertext: credentials.ciphertext
            ),
            info: Data(session.text.utf8),
            expiresIn: credentials.expiresIn.map { .seconds(max(0, min($0, 1 << 40))) }
        )
    }
}

extension S3Configuration {
    /// As a grant tells.
    ///
    /// - Throws: `invalidArgument` for what can't be a storage.
    fileprivate init(_ storage: Grant.Storage, folder: String) throws {
        self.init(
            endpoint: try S3Endpoint(parsing: storage.endpoint),
            region: storage.region,
            bucket: storage.bucket,
            prefix: folder,
            addressing: storage.usesPathStyle ? .path : .virtualHost,
            trustedCertificates: storage.authority.map { Array($0.utf8) }
        )
    }
}
