import Crypto
import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HummingbirdCore
import Logging

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension ControlService {
    func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer {
        guard request.publicKey.count == 32, (1...255).contains(request.name.utf8.count) else {
            throw HawserError(.invalidArgument, "A device has a key of 32 bytes and a name of at most 255 bytes.")
        }
        let identity = try await database.registerDevice(
            code: request.code,
            publicKey: Array(request.publicKey),
            name: request.name
        )
        logger.notice(
            "Device registered",
            metadata: ["device": "\(identity.device.id)", "tenant": "\(identity.tenant.id)"]
        )
        return RegistrationAnswer(
            device: identity.device.id,
            tenant: identity.tenant.name,
            subtenant: identity.subtenant?.name
        )
    }

    func signIn(_ request: SignInRequest, _ connection: ControlConnection) async throws -> SessionAnswer {
        guard request.agent.utf8.count <= 255 else {
            throw HawserError(.invalidArgument, "The name of the program has at most 255 bytes.")
        }
        let identity = try await verify(request)
        try limitSignIns(of: identity.device.id)
        let opened = try await database.openSession(
            device: identity.device.id,
            purpose: request.purpose,
            agent: request.agent,
            subtenant: request.subtenant
        )
        logger.info(
            "Session opened",
            metadata: [
                "session": "\(opened.session.id)", "tenant": "\(identity.tenant.id)",
                "device": "\(identity.device.id)", "purpose": "\(request.purpose)",
                "address": "\(connection.address.map { "\($0)" } ?? "")",
            ]
        )
        return SessionAnswer(
            session: opened.session.id,
            token: Base64URL.text(Data(opened.token)),
            api: .init(min: ControlAPI.version, max: ControlAPI.version),
            state: try await database.state(of: opened.session),
            gateways: try await gateways(for: identity.tenant),
            authorities: certificates.authorities
        )
    }

    /// Whatever is wrong gets the same answer after the same work, so that nobody learns which devices exist: more than the
    /// key is read only for who has signed with it.
    private func verify(_ request: SignInRequest) async throws -> Identity {
        let isFresh = nonces.isFresh(request.nonce)
        // A key that verifies nothing anybody can sign stands in for that of an unknown device.
        let key = try await database.signInKey(of: request.device)
            .flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }
        let signed = SignInRequest.signedBytes(
            device: request.device,
            nonce: request.nonce,
            purpose: request.purpose,
            domain: domain,
            subtenant: request.subtenant
        )
        let isSigned = (key ?? Self.nobody).isValidSignature(request.signature, for: signed)
        guard key != nil, isSigned, isFresh, nonces.use(request.nonce) else {
            logger.info(
                "Sign-in refused",
                metadata: [
                    "device": "\(request.device)", "known": "\(key != nil)", "fresh": "\(isFresh)",
                    "signed": "\(isSigned)",
                ]
            )
            throw HawserError(
                .notSignedIn,
                "The device is not known, was revoked, or did not sign as it must. Log in again with a new join string."
            )
        }
        return try await database.identity(device: request.device)
    }

    static let nobody = Curve25519.Signing.PrivateKey().publicKey

    /// In another order each time, so that tenants spread over the pool, the less busy ones first.
    private func gateways(for tenant: TenantRecord) async throws -> [String] {
        let allowed = tenant.settings.gateways
        let relays = try await database.gateways()
            .filter { $0.kind == .relay && (allowed.isEmpty || allowed.contains($0.name)) }
        return gatewayHub.spread(relays).map(\.address)
    }

    /// One look-up in memory.
    func authenticate(_ request: Request) throws -> SessionRecord {
        guard let header = request.headers[.authorization], header.utf8.count < 256,
            header.prefix(7).lowercased() == "bearer ", let token = Base64URL.bytes(header.dropFirst(7))
        else {
            throw HawserError(.notSignedIn, "The request needs the token of a session: Authorization: Bearer TOKEN.")
        }
        return try database.session(token: Array(token))
    }
}
