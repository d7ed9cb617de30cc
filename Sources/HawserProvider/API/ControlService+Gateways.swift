import Crypto
import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HawserS3
import HawserStorage
import HummingbirdCore
import Logging
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What gateway servers ask for.
extension ControlService {
    /// One look-up in memory.
    func authenticateGateway(_ request: Request) throws -> ControlID {
        guard let header = request.headers[.authorization], header.utf8.count < 256,
            header.prefix(7).lowercased() == "bearer ", let token = Base64URL.bytes(header.dropFirst(7)),
            let gateway = gatewayHub.gateway(token: sha256(token))
        else {
            throw HawserError(.notSignedIn, "The gateway server is not signed in (any more). Sign in again.")
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
            let name = try await record(gateway).name
            return try ControlAnswer(
                try await certificates.issue(name: "\(name).\(domain)", publicKey: request.publicKey)
            )
        case (.moverCredentials, let mover?):
            let request = try RequestReader.decode(MoverStorageRequest.self, body)
            return try ControlAnswer(try await storage(of: mover, gateway, request))
        case (.moverLease, let mover?):
            let request = try RequestReader.decode(LeaseRequest.self, body)
            return try ControlAnswer(try await lease(mover, gateway, request))
        default:
            throw HawserError(.internalError, "The request reached an operation without what it needs.")
        }
    }

    func register(_ request: GatewayRegistrationRequest) async throws -> GatewayRegistrationAnswer {
        guard request.publicKey.count == 32 else {
            throw HawserError(.invalidArgument, "A gateway server has a key of 32 bytes.")
        }
        let gateway = try await database.registerGateway(code: request.code, publicKey: Array(request.publicKey))
        // What was signed in with an older key is signed in no more.
        gatewayHub.keep(Set(try await database.gateways().map(\.id)).subtracting([gateway.id]))
        logger.notice("Gateway server registered", metadata: ["gateway": "\(gateway.name)"])
        return GatewayRegistrationAnswer(gateway: gateway.id, name: gateway.name)
    }

    /// Whatever is wrong gets the same answer after the same work.
    func signIn(_ request: GatewaySignInRequest) async throws -> GatewaySignInAnswer {
        let isFresh = nonces.isFresh(request.nonce)
        let gateway = try await database.gateways().first { $0.id == request.gateway && $0.kind == .server }
        let key = (gateway?.publicKey).flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }
        let signed = GatewaySignInRequest.signedBytes(gateway: request.gateway, nonce: request.nonce, domain: domain)
        let isSigned = (key ?? Self.nobody).isValidSignature(request.signature, for: signed)
        guard let gateway, key != nil, isSigned, isFresh, nonces.use(request.nonce) else {
            logger.notice("Sign-in of a gateway server refused", metadata: ["gateway": "\(request.gateway)"])
            throw HawserError(
                .notSignedIn,
                "The gateway server is not known, was removed, or did not sign as it must. Add it again "
                    + "(`hawser-provider gateway add`) and join with the new join string."
            )
        }
        let token = Data(randomBytes(32))
        gatewayHub.addToken(sha256(token), of: gateway.id)
        try await database.sawGateway(gateway.id)
        logger.info("Gateway server signed in", metadata: ["gateway": "\(gateway.name)"])
        return GatewaySignInAnswer(token: Base64URL.text(token), authorities: certificates.authorities)
    }

    private func record(_ gateway: ControlID) async throws -> GatewayRecord {
        guard let record = try await database.gateways().first(where: { $0.id == gateway }) else {
            throw HawserError(.notSignedIn, "The gateway server was removed.")
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

/// The gateway server's event stream.
extension ControlService {
    @concurrent
    func followMovers(
        of gateway: ControlID,
        _ writer: consuming ResponseWriter,
        _ connection: ControlConnection
    ) async throws {
        let (number, events) = gatewayHub.open(gateway, channel: connection.channel)
        defer { gatewayHub.close(gateway, number: number) }
        logger.notice("Gateway server connected", metadata: ["gateway": "\(gateway)"])
        var head = HTTPResponse(status: .ok)
        head.headerFields[.contentType] = "application/x-ndjson"
        head.headerFields[.cacheControl] = "no-store"
        var body = try await writer.writeHead(head)
        for await event in events {
            var line = try jsonBuffer(event)
            line.writeInteger(UInt8(ascii: "\n"))
            try await body.write(line)
            if case .reconnect = event {
                try await body.finish(nil)
                return
            }
        }
        // The answer must not look whole.
        throw ConnectionOver()
    }

    /// Starts a mover on the first of the gateway servers that does it, and returns its name and the tenant's token.
    func startMover(
        on servers: [GatewayRecord],
        _ session: SessionRecord,
        _ folder: FolderRecord,
        _ purpose: Purpose
    ) async throws -> (server: String, token: String)? {
        let bandwidth = try await database.identity(device: session.device).tenant.settings.bandwidth
        for server in servers {
            let token = Data(randomBytes(32))
            let mover = Mover(
                id: .random(),
                session: session.id,
                repository: folder.repository,
                tenant: session.tenant,
                purpose: purpose,
                token: sha256(token),
                bandwidth: bandwidth,
                largest: maximumObjectLength
            )
            let target = LedgerTarget(session, repository: folder.repository)
            if await gatewayHub.start(mover, on: server.id, target: target, folder: folder.id) {
                // It may have ended meanwhile, before the hub knew of the mover.
                guard database.session(session.id)?.ended == nil else {
                    gatewayHub.stop { $0.mover.id == mover.id }
                    throw HawserError(.sessionOver, "The session was closed.")
                }
                return (server.name, Base64URL.text(token))
            }
            logger.warning("A gateway server does not start movers", metadata: ["gateway": "\(server.name)"])
        }
        return nil
    }

    /// Looks again at who may be connected and which movers may run.
    func refreshGateways() async {
        do {
            let allowed = Set(try await database.gateways().filter { $0.kind == .server && $0.publicKey != nil }.map(\.id))
            gatewayHub.keep(allowed)
        } catch {
            logger.error("Reading the gateways failed", metadata: ["error": "\(error)"])
        }
        gatewayHub.stop { running in
            database.session(running.mover.session).map { $0.ended != nil } ?? true
        }
    }

    func spreadToGateways(_ change: ProviderChange) async {
        switch change {
        case .general: await refreshGateways()
        case .sessionEnded(let session, _, _): gatewayHub.stop { $0.mover.session == session }
        case .returnUnused(let repository, let tenant): gatewayHub.returnUnused(repository: repository, tenant: tenant)
        case .tenant, .credentials: break
        }
    }
}
