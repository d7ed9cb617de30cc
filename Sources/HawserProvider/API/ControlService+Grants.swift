import HawserControl
import HawserFormat
import Logging

extension ControlService {
    func grant(_ id: ControlID, _ session: SessionRecord, _ request: GrantRequest) async throws -> Grant {
        guard request.purpose == session.purpose || request.purpose.isReadOnly || session.purpose == .full else {
            throw HawserError(
                .accessDenied,
                "The session was opened for \(session.purpose). Open one for \(request.purpose)."
            )
        }
        let folder = try await database.folder(tenant: session.tenant, subtenant: session.subtenant, repository: id)
        if folder.isOver, !request.purpose.isReadOnly, request.purpose != .prune {
            throw HawserError(
                .quotaExceeded,
                "The storage holds more than the quota allows. Forget snapshots and prune, or ask the provider for more."
            )
        }
        let repository = try await database.repository(id)
        let storage = try await database.storage(repository.storage)
        let decision = GrantDecision(
            GrantDecision.Inputs(
                mode: repository.settings.mode,
                kind: storage.settings.kind,
                access: repository.settings.access,
                gatewayServers: try await servers(of: repository),
                fallback: repository.settings.fallback,
                purpose: request.purpose,
                avoid: request.avoid,
                hasInsiderProtection: repository.settings.insiderProtectionDays > 0,
                isBucketShared: repository.settings.access == .shared
                    ? try await isShared(storage, with: session.tenant) : false,
                acceptsSharedBucket: repository.settings.acceptsSharedBucket,
                // None of the issuers is part of this version.
                issuers: []
            )
        )
        switch decision {
        case .refused(let problem):
            throw problem.error
        case .direct(let access, _):
            throw HawserError(.unsupported, "This server can't issue \(access.rawValue) access.")
        case .gateway(let server, let reason):
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
                gatewayServer: "\(server).\(domain)"
            )
        }
    }

    /// Names of the repository's gateway servers that have joined, in another order each time.
    private func servers(of repository: RepositoryRecord) async throws -> [String] {
        let wanted = Set(repository.settings.gatewayServers)
        return try await database.gateways()
            .filter { $0.kind == .server && $0.publicKey != nil && wanted.contains($0.name) }
            .map(\.name)
            .shuffled()
    }

    /// Whether another tenant has a folder in the bucket.
    private func isShared(_ storage: StorageRecord, with tenant: ControlID) async throws -> Bool {
        let repositories = Set(try await database.repositories().filter { $0.storage == storage.id }.map(\.id))
        return try await database.folders().contains { $0.tenant != tenant && repositories.contains($0.repository) }
    }
}
