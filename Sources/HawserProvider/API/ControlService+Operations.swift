import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HummingbirdCore
import Logging
import NIOCore

extension ControlService {
    @concurrent
    func perform(
        _ operation: ControlOperation,
        _ id: ControlID?,
        _ session: SessionRecord?,
        _ body: ByteBuffer,
        target: String,
        _ connection: ControlConnection
    ) async throws -> ControlAnswer {
        switch (operation, id, session) {
        case (.registerDevice, _, _):
            try ControlAnswer(try await register(try RequestReader.decode(RegistrationRequest.self, body)))
        case (.makeNonce, _, _):
            try ControlAnswer(NonceAnswer(nonce: nonces.make(), expiresIn: Int(Nonces.lifetime / .seconds(1))))
        case (.signIn, _, _):
            try ControlAnswer(try await signIn(try RequestReader.decode(SignInRequest.self, body), connection))
        case (.listSessions, _, let session?):
            try ControlAnswer(try await sessions(seenBy: session))
        case (.pollSession, _, let session?):
            try ControlAnswer(try await database.state(of: session.checked(id)))
        case (.closeSession, _, let session?):
            try await close(session.checked(id))
        case (.grant, let repository?, let session?):
            try ControlAnswer(try await grant(repository, session, try RequestReader.decode(GrantRequest.self, body)))
        case (.lease, let repository?, let session?):
            try ControlAnswer(try await lease(repository, session, try RequestReader.decode(LeaseRequest.self, body)))
        case (.commit, let repository?, let session?):
            try ControlAnswer(try await commit(repository, session, try RequestReader.decode(CommitRequest.self, body)))
        case (.delete, let repository?, let session?):
            try ControlAnswer(
                try await delete(repository, session, try RequestReader.decode(DeletionRequest.self, body))
            )
        case (.listDeletions, let repository?, let session?):
            try ControlAnswer(try await deletions(repository, session, target: target))
        case (.listReceipts, let repository?, let session?):
            try ControlAnswer(try await receipts(repository, session, target: target))
        case (.tickets, let repository?, let session?):
            try ControlAnswer(
                try await tickets(repository, session, try RequestReader.decode(TicketRequest.self, body))
            )
        case (.listObjects, let repository?, let session?):
            try ControlAnswer(try await list(repository, session, target: target))
        case (.registerGateway, _, _):
            try ControlAnswer(try await register(try RequestReader.decode(GatewayRegistrationRequest.self, body)))
        case (.signInGateway, _, _):
            try ControlAnswer(try await signIn(try RequestReader.decode(GatewaySignInRequest.self, body)))
        case (.listSessions, _, nil), (.pollSession, _, nil), (.closeSession, _, nil), (.followEvents, _, _),
            (.grant, _, _), (.lease, _, _), (.commit, _, _), (.delete, _, _), (.listDeletions, _, _),
            (.listReceipts, _, _), (.tickets, _, _), (.listObjects, _, _), (.followMovers, _, _),
            (.issueCertificate, _, _), (.reportLoad, _, _), (.moverCredentials, _, _), (.moverLease, _, _),
            (.moverUsage, _, _):
            throw HawserError(.internalError, "The request reached an operation without what it needs.")
        }
    }

    private func close(_ session: SessionRecord) async throws -> ControlAnswer {
        try await database.endSession(session.id, actor: session.device.text)
        logger.info("Session closed", metadata: ["session": "\(session.id)"])
        return ControlAnswer(.noContent)
    }

    /// The tenant's own; a subtenant sees its own only.
    private func sessions(seenBy session: SessionRecord) async throws -> SessionList {
        let devices = try await database.devices(of: session.tenant)
        let names = Dictionary(devices.map { ($0.id, $0.name) }) { first, _ in first }
        let subtenants = try await database.subtenants(of: session.tenant)
        let subtenantNames = Dictionary(subtenants.map { ($0.id, $0.name) }) { first, _ in first }
        let now = database.clock.steady
        let seen = database.liveSessions(of: session.tenant).filter {
            session.subtenant == nil || $0.subtenant == session.subtenant
        }
        return SessionList(
            sessions: seen.map {
                SessionList.Item(
                    session: $0.id,
                    device: names[$0.device] ?? "",
                    subtenant: $0.subtenant.flatMap { subtenantNames[$0] },
                    purpose: $0.purpose,
                    agent: $0.agent,
                    age: Int((now - $0.opened) / .seconds(1)),
                    idle: Int((now - $0.lastRequest) / .seconds(1))
                )
            }
        )
    }
}

extension SessionRecord {
    /// The session in the path must be that of the token: of another's nothing is told, not even that it exists.
    func checked(_ id: ControlID?) throws -> SessionRecord {
        guard id == self.id else { throw HawserError(.notFound, "This is not the session of the token.") }
        return self
    }
}
