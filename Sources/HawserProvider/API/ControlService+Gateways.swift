import Crypto
import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HawserS3
import HummingbirdCore
import Logging
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What gateway servers and cloud gateways ask for.
extension ControlService {
    /// One look-up in memory.
    func authenticateGateway(_ request: Request) throws -> ControlID {
        guard let header = request.headers[.authorization], header.utf8.count < 256,
            header.prefix(7).lowercased() == "bearer ", let token = Base64URL.bytes(header.dropFirst(7)),
            let gateway = gatewayHub.gateway(token: sha256(token))
        else {
            throw HawserError(.notSignedIn, "The gateway is not signed in (any more). Sign in again.")
        }
        return gateway
    }

    @concurrent
    func perform(
        _ operation: ControlOperation,
        _ id: ControlID?,
        gateway: ControlID,
        _ body: ByteBuffer
    ) async throws -> ControlAnswer {
        switch (operation, id) {
        case (.issueCertificate, _):
            let request = try RequestReader.decode(CertificateRequest.self, body)
            let record = try await record(gateway)
            guard record.kind == .server else {
                throw HawserError(.accessDenied, "A cloud gateway opens no TLS and has no certificate.")
            }
            return try ControlAnswer(
                try await certificates.issue(name: serverName(record), publicKey: request.publicKey)
            )
        case (.reportLoad, _):
            gatewayHub.setLoad(try RequestReader.decode(GatewayLoad.self, body).connections, of: gateway)
            return ControlAnswer(.noContent)
        case (.moverCredentials, let mover?):
            let request = try RequestReader.decode(MoverStorageRequest.self, body)
            return try ControlAnswer(try await storage(of: mover, gateway, request))
        case (.moverUsage, let mover?):
            let usage = try RequestReader.decode(MoverUsage.self, body)
            try checkBytes(usage.requests)
            try checkBytes(usage.egress)
            guard let (folder, new) = gatewayHub.note(usage, of: mover, on: gateway) else { throw Self.noMover }
            database.count(new, in: folder)
            return ControlAnswer(.noContent)
        case (.moverLease, let mover?):
            let request = try RequestReader.decode(LeaseRequest.self, body)
            return try ControlAnswer(try await lease(mover, gateway, request))
        default:
            throw HawserError(.internalError, "The request reached an operation without what it needs.")
        }
    }

    func register(_ request: GatewayRegistrationRequest) async throws -> GatewayRegistrationAnswer {
        guard request.publicKey.count == 32 else {
            throw HawserError(.invalidArgument, "A gateway has a key of 32 bytes.")
        }
        let gateway = try await database.registerGateway(code: request.code, publicKey: Array(request.publicKey))
        // What was signed in with an older key is signed in no more.
        gatewayHub.keep(Set(try await database.gateways().map(\.id)).subtracting([gateway.id]))
        logger.notice("Gateway registered", metadata: ["gateway": "\(gateway.name)"])
        return GatewayRegistrationAnswer(gateway: gateway.id, name: gateway.name)
    }

    /// Whatever is wrong gets the same answer after the same work.
    func signIn(_ request: GatewaySignInRequest) async throws -> GatewaySignInAnswer {
        let isFresh = nonces.isFresh(request.nonce)
        let gateway = try await database.gateways().first { $0.id == request.gateway }
        let key = (gateway?.publicKey).flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }
        let signed = GatewaySignInRequest.signedBytes(gateway: request.gateway, nonce: request.nonce, domain: domain)
        let isSigned = (key ?? Self.nobody).isValidSignature(request.signature, for: signed)
        guard let gateway, key != nil, isSigned, isFresh, nonces.use(request.nonce) else {
            refusals.note(
                .signInGateway,
                .notice,
                "Sign-in of a gateway refused",
                ["gateway": "\(request.gateway)"]
            )
            throw HawserError(
                .notSignedIn,
                "The gateway is not known, was removed, or did not sign as it must. Add it again "
                    + "(`hawser-provider gateway add`) and join with the new join string."
            )
        }
        let token = Data(randomBytes(32))
        gatewayHub.addToken(sha256(token), of: gateway.id)
        // Also with a full disk: what is stored can be restored then.
        try? await database.sawGateway(gateway.id)
        logger.info("Gateway signed in", metadata: ["gateway": "\(gateway.name)"])
        return GatewaySignInAnswer(token: Base64URL.text(token), authorities: certificates.authorities)
    }

    private func serverName(_ gateway: GatewayRecord) -> String { "\(gateway.name).\(domain)" }

    func directory() async throws -> GatewayHub.Directory {
        let gateways = try await database.gateways()
        return GatewayHub.Directory(
            gateways: gateways.filter { $0.kind == .relay }.map(\.address),
            routes: gateways.filter { $0.kind == .server }
                .map { GatewayServerRoute(name: serverName($0), address: $0.address) }
        )
    }

    func record(_ gateway: ControlID) async throws -> GatewayRecord {
        guard let record = try await database.gateways().first(where: { $0.id == gateway }) else {
            throw HawserError(.notSignedIn, "The gateway was removed.")
        }
        return record
    }

    /// Only of repositories that name this gateway server, and only for a mover that it shall run.
    private func storage(
        of id: ControlID,
        _ gateway: ControlID,
        _ request: MoverStorageRequest
    ) async throws -> MoverStorageAnswer {
        guard let running = gatewayHub.running(id, on: gateway) else { throw Self.noMover }
        let repository = try await database.repository(running.mover.repository)
        guard repository.settings.gatewayServers.contains(try await record(gateway).name) else { throw Self.noMover }
        let storage = try await database.storage(repository.storage)
        guard let secret = try await database.storageSecret(storage.id) else {
            throw HawserError(
                .noWay,
                "The repository's storage has no secret key: the provider has to set it "
                    + "(`hawser-provider storage update --secret-file`)."
            )
        }
        let sealed = try SealedS3Credentials(
            sealing: S3Credentials(accessKeyID: storage.settings.accessKeyID, secretAccessKey: secret),
            to: request.vaultKey,
            info: Data(running.mover.session.text.utf8)
        )
        let settings = storage.settings
        gatewayHub.isReady(id)
        return MoverStorageAnswer(
            storage: Grant.Storage(
                kind: settings.kind,
                endpoint: settings.endpoint,
                region: settings.region,
                usesPathStyle: settings.usesPathStyle,
                bucket: settings.bucket,
                authority: settings.tenantAuthority
            ),
            folder: try await database.folder(running.folder).path(in: settings),
            credentials: SealedCredentials(
                generation: 1,
                encapsulatedKey: sealed.encapsulatedKey,
                ciphertext: sealed.ciphertext,
                expiresIn: nil
            )
        )
    }

    // A block of bytes lasts for some seconds: 64 MiB at least, so that requests are rare, 1 GiB at most, so that one
    // gateway server does not hold a quota that others need. Near the limit the ledger gives less.
    private static let slowest = (64 << 20) / 30
    private static let fastest = (1024 << 20) / 30

    private func lease(_ id: ControlID, _ gateway: ControlID, _ request: LeaseRequest) async throws -> LeaseAnswer {
        let isSettling = request.bytes == 0
        let found = isSettling ? gatewayHub.known(id, on: gateway) : gatewayHub.running(id, on: gateway)
        guard let running = found, request.settled.count <= ControlAPI.mostKeys else { throw Self.noMover }
        let (grant, quota) = try await database.lease(
            running.target,
            lease: request.lease,
            bytes: request.bytes,
            rate: min(max(request.rate, Self.slowest), Self.fastest),
            isExact: true,
            settled: request.settled
        )
        return LeaseAnswer(
            lease: grant?.lease,
            bytes: grant?.bytes ?? 0,
            expiresIn: grant.map { Int($0.expiresIn / .seconds(1)) } ?? 0,
            quota: quota
        )
    }

    private static let noMover = HawserError(.notFound, "This gateway server runs no such mover.")
}
