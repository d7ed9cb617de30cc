import HawserControl
import HawserFormat
import HawserS3
import Logging

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension ControlService {
    func grant(_ id: ControlID, _ session: SessionRecord, _ request: GrantRequest) async throws -> Grant {
        guard request.purpose == session.purpose || request.purpose.isReadOnly || session.purpose == .full else {
            throw HawserError(
                .accessDenied,
                "The session was opened for \(session.purpose). Open one for \(request.purpose)."
            )
        }
        let folder = try await database.folder(tenant: session.tenant, subtenant: session.subtenant, repository: id)
        let account = try await database.account(folder)
        if account.isOver, !request.purpose.isReadOnly, request.purpose != .prune {
            throw HawserError(
                .quotaExceeded,
                "The storage holds more than the quota allows. Forget snapshots and prune, or ask the provider for more."
            )
        }
        let repository = try await database.repository(id)
        let storage = try await database.storage(repository.storage)
        let servers = try await servers(of: repository)
        let decision = GrantDecision(
            GrantDecision.Inputs(
                mode: repository.settings.mode,
                kind: storage.settings.kind,
                access: repository.settings.access,
                gatewayServers: servers.connected.map(\.name),
                fallback: repository.settings.fallback,
                purpose: request.purpose,
                avoid: request.avoid,
                hasInsiderProtection: repository.settings.insiderProtectionDays > 0,
                isOver: account.isOver,
                isBucketShared: repository.settings.access == .shared
                    ? try await isShared(storage, with: session.tenant) : false,
                acceptsSharedBucket: repository.settings.acceptsSharedBucket,
                issuers: storage.settings.issuers,
                exports: request.export ?? false,
                credentialExport: repository.settings.credentialExport
            )
        )
        switch decision {
        case .refused(let problem):
            if HawserError.Code(problem.code) == .noWay, !servers.joined.isEmpty, servers.connected.isEmpty {
                throw Self.noServer
            }
            throw problem.error
        case .direct(let access, let reason):
            logger.info(
                "Way granted",
                metadata: [
                    "session": "\(session.id)", "repository": "\(id)", "purpose": "\(request.purpose)",
                    "mode": "direct", "access": "\(access.rawValue)", "export": "\(request.export ?? false)",
                ]
            )
            return Grant(
                mode: .direct,
                reason: reason,
                fallback: repository.settings.fallback,
                folder: folder.path(in: storage.settings),
                quota: try await database.quota(
                    tenant: session.tenant,
                    subtenant: session.subtenant,
                    repository: id
                ),
                access: AccessPermissions(rawValue: access.rawValue),
                storage: Grant.Storage(storage.settings),
                credentials: try await credentials(access, session, request, storage, account),
                exported: request.export
            )
        case .gateway(_, let reason):
            guard
                let (server, token) = try await startMover(on: servers.connected, session, folder, request.purpose)
            else { throw Self.noServer }
            logger.info(
                "Way granted",
                metadata: [
                    "session": "\(session.id)", "repository": "\(id)", "purpose": "\(request.purpose)",
                    "mode": "gateway",
                ]
            )
            return Grant(
                mode: .gateway,
                reason: reason,
                fallback: repository.settings.fallback,
                folder: folder.path(in: storage.settings),
                quota: try await database.quota(
                    tenant: session.tenant,
                    subtenant: session.subtenant,
                    repository: id
                ),
                gatewayServer: "\(server).\(domain)",
                gatewayToken: token
            )
        }
    }

    /// Sealed to the vault that asks. A tenant with tickets gets some for reading where the storage can make such.
    private func credentials(
        _ access: GrantDecision.Access,
        _ session: SessionRecord,
        _ request: GrantRequest,
        _ storage: StorageRecord,
        _ account: Account
    ) async throws -> SealedCredentials? {
        // Who only asks which way to go gets none, but learns whether there are some.
        guard access != .tickets || storage.settings.sts != nil else { return nil }
        guard let vaultKey = request.vaultKey else {
            return SealedCredentials(generation: 0, encapsulatedKey: Data(), ciphertext: Data(), expiresIn: nil)
        }
        let issued: CredentialIssuer.Issued
        switch access {
        case .sts where request.export ?? false: issued = try await export(session, request.purpose, storage, account)
        case .shared: issued = try await issuer.shared(storage, folder: account.own)
        case .sts: issued = try await issuer.temporary(storage, folder: account, purpose: request.purpose)
        case .tickets: issued = try await issuer.temporary(storage, folder: account, purpose: .restore)
        case .sas: throw HawserError(.unsupported, "This server can't issue shared access signatures.")
        }
        // It may have ended while the storage was asked, and what was issued to it been revoked before.
        guard database.session(session.id)?.ended == nil else {
            throw HawserError(.sessionOver, "The session was closed.")
        }
        let sealed = try SealedS3Credentials(
            sealing: issued.credentials,
            to: vaultKey,
            info: Data(session.id.text.utf8)
        )
        return SealedCredentials(
            generation: issued.generation,
            encapsulatedKey: sealed.encapsulatedKey,
            ciphertext: sealed.ciphertext,
            expiresIn: issued.expiresIn.map { Int($0 / .seconds(1)) }
        )
    }

    private func export(
        _ session: SessionRecord,
        _ purpose: Purpose,
        _ storage: StorageRecord,
        _ account: Account
    ) async throws -> CredentialIssuer.Issued {
        let issued = try await issuer.exported(storage, folder: account.own, purpose: purpose)
        try await database.noteExport(
            folder: account.own.id,
            purpose: purpose,
            accessKeyID: issued.credentials.accessKeyID,
            lifetime: issued.expiresIn,
            actor: session.device.text
        )
        return issued
    }

    /// The repository's gateway servers that have joined, and of them those that are connected, in another order each time.
    private func servers(
        of repository: RepositoryRecord
    ) async throws -> (joined: [GatewayRecord], connected: [GatewayRecord]) {
        let wanted = Set(repository.settings.gatewayServers)
        let joined = try await database.gateways()
            .filter { $0.kind == .server && $0.publicKey != nil && wanted.contains($0.name) }
        return (joined, joined.filter { gatewayHub.isConnected($0.id) }.shuffled())
    }

    private static let noServer = HawserError(
        .noWay,
        "None of the repository's gateway servers is connected to the provider's server now. Try again in a moment; if it "
            + "lasts, the provider has to look at `hawser-gateway serve`.",
        isRetryable: true,
        retryAfter: .seconds(5)
    )

    /// Whether another tenant has a folder in the bucket.
    private func isShared(_ storage: StorageRecord, with tenant: ControlID) async throws -> Bool {
        let storages = Set(
            try await database.storages().filter { $0.settings.isSameBucket(as: storage.settings) }.map(\.id)
        )
        let repositories = Set(
            try await database.repositories().filter { storages.contains($0.storage) }.map(\.id)
        )
        return try await database.folders().contains { $0.tenant != tenant && repositories.contains($0.repository) }
    }
}

extension StorageSettings {
    public static let held = "held"

    /// What can be given out for this storage: of the fences, those that `storage check` found to hold.
    var issuers: Set<GrantDecision.Access> {
        var issuers: Set<GrantDecision.Access> = [.shared]
        if sts != nil, checked?[AccessPermissions.sts.rawValue] == Self.held { issuers.insert(.sts) }
        if checked?[AccessPermissions.tickets.rawValue] == Self.held { issuers.insert(.tickets) }
        return issuers
    }
}

extension Grant.Storage {
    fileprivate init(_ settings: StorageSettings) {
        self.init(
            kind: settings.kind,
            endpoint: settings.tenantEndpoint ?? settings.endpoint,
            region: settings.region,
            usesPathStyle: settings.usesPathStyle,
            bucket: settings.bucket,
            authority: settings.tenantAuthority
        )
    }
}
