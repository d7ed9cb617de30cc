import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HawserStorage
import HummingbirdCore
import Logging
import NIOCore

/// What answers tenants: from the head of a request to the last byte of its answer.
struct ControlService: Sendable {
    let domain: String
    let database: ConfigurationDatabase
    let certificates: CertificateKeeper
    let hub: EventHub
    let metrics: ServerMetrics
    let storageWork: StorageWork
    let logger: Logger
    /// For what clients can bring about as often as they like.
    let refusals: ThrottledLog<ControlOperation?>
    let directoryReading = AsyncSemaphore(total: 1)
    let nonces = Nonces()
    let issuer: CredentialIssuer
    let gatewayHub = GatewayHub()
    private let reader: RequestReader
    private let limits: ServerLimits
    private let perAddress: RateLimiter<IPAddress>
    private let perTenant: RateLimiter<ControlID>
    private let signIns: RateLimiter<ControlID>
    private let deletions: RateLimiter<ControlID>
    private let snapshots: RateLimiter<ControlID>

    init(
        domain: String,
        database: ConfigurationDatabase,
        certificates: CertificateKeeper,
        hub: EventHub,
        limits: ServerLimits,
        metrics: ServerMetrics,
        storageWork: StorageWork,
        logger: Logger
    ) {
        self.domain = domain
        self.database = database
        self.certificates = certificates
        self.hub = hub
        self.metrics = metrics
        self.storageWork = storageWork
        self.logger = logger
        refusals = ThrottledLog(logger)
        self.limits = limits
        issuer = storageWork.issuer
        reader = RequestReader(time: limits.body)
        perAddress = RateLimiter(limits.requestsPerAddress)
        perTenant = RateLimiter(limits.requestsPerTenant)
        signIns = RateLimiter(limits.signInsPerDevice)
        deletions = RateLimiter(limits.deletionsPerTenant)
        snapshots = RateLimiter(limits.snapshotsPerFolder)
    }

    /// What counts as one more request: about as long as a hundred keys, which cost the database as much as one by itself.
    private static let bytesOfRequest = 8192.0

    private enum Outcome {
        case answer(ControlAnswer)
        case stream(SessionRecord)
        case movers(ControlID)
    }

    @concurrent
    func respond(
        _ request: Request,
        _ writer: consuming ResponseWriter,
        _ connection: ControlConnection
    ) async throws {
        let start = ContinuousClock.now
        let route = ControlRoute(method: request.method, target: request.head.path ?? "")
        let operation = route.operation
        switch await outcome(of: request, route, connection) {
        case .answer(let answer):
            try await answer.write(writer)
            metrics.answered(operation, answer.status, after: .now - start)
            if answer.closes {
                try? await connection.channel.close(mode: .output)
                throw ConnectionOver()
            }
        case .stream(let session):
            metrics.answered(operation, .ok, after: .now - start)
            try await follow(session, writer, connection)
        case .movers(let gateway):
            metrics.answered(operation, .ok, after: .now - start)
            try await followMovers(of: gateway, writer, connection)
        }
    }

    @concurrent
    private func outcome(of request: Request, _ route: ControlRoute, _ connection: ControlConnection) async -> Outcome {
        var session: SessionRecord?
        // Of a refused request nobody reads the body: without an end of the connection it could go on for ever.
        var isRead = (request.headers[.contentLength] ?? "0") == "0" && request.headers[.transferEncoding] == nil
        do {
            guard case .operation(let operation, let id) = route else {
                try limit(connection)
                throw Self.unknown(route)
            }
            if operation.needsGateway {
                let gateway: ControlID
                do {
                    gateway = try authenticateGateway(request)
                } catch {
                    // Only then: a gateway server asks for all its tenants, from one address.
                    try limit(connection)
                    throw error
                }
                if operation == .followMovers { return .movers(gateway) }
                let body = try await reader.read(request, connection.channel)
                isRead = true
                return .answer(try await perform(operation, id, gateway: gateway, body))
            }
            try limit(connection)
            if operation.needsSession {
                let found = try authenticate(request)
                session = found
                try limited(perTenant.take(found.tenant))
                if operation == .followEvents { return .stream(try found.checked(id)) }
            }
            let body = operation.method == .post ? try await reader.read(request, connection.channel) : ByteBuffer()
            isRead = isRead || operation.method == .post
            if let session { perTenant.charge(session.tenant, Double(body.readableBytes) / Self.bytesOfRequest) }
            let target = request.head.path ?? ""
            return .answer(try await perform(operation, id, session, body, target: target, connection))
        } catch let error as HawserError where error.code == .sessionOver && route.isClosing {
            // The answer to the first request may have been lost.
            return .answer(ControlAnswer(.noContent))
        } catch {
            var answer = answer(to: error, route, session, connection)
            if !isRead { answer.closes = true }
            return .answer(answer)
        }
    }

    private func answer(
        to error: any Error,
        _ route: ControlRoute,
        _ session: SessionRecord?,
        _ connection: ControlConnection
    ) -> ControlAnswer {
        var metadata: Logger.Metadata = ["address": "\(connection.address.map { "\($0)" } ?? "")"]
        if let operation = route.operation { metadata["operation"] = "\(operation)" }
        if let session { metadata["session"] = "\(session.id)" }
        let isOwn = (error as? HawserError)?.isOfReadOnlyDatabase ?? false
        guard !isOwn, let problem = ControlProblem(answerable: error) else {
            metadata["error"] = "\(error)"
            refusals.note(route.operation, .error, "Request failed", metadata)
            return ControlAnswer(.unavailable)
        }
        metadata["code"] = "\(problem.code)"
        logger.debug("Request refused", metadata: metadata)
        var answer = ControlAnswer(problem)
        if case .wrongMethod(let allowed) = route { answer.headers[.allow] = allowed }
        answer.closes = HawserError.Code(problem.code) == .requestTooLarge
        return answer
    }

    private func limit(_ connection: ControlConnection) throws {
        guard let address = connection.address, !limits.exempts(address) else { return }
        try limited(perAddress.take(address.subscriber))
    }

    func limitSignIns(of device: ControlID) throws { try limited(signIns.take(device)) }

    func limitDeletions(of tenant: ControlID) throws { try limited(deletions.take(tenant)) }

    func limitSnapshots(of folder: ControlID) throws { try limited(snapshots.take(folder)) }

    private func limited(_ wait: Duration?) throws {
        guard let wait else { return }
        metrics.limitedRequest()
        throw HawserError(
            .tooManyRequests,
            "More requests came than this server takes from one client. Wait a moment.",
            isRetryable: true,
            retryAfter: max(wait, .seconds(1))
        )
    }

    private static func unknown(_ route: ControlRoute) -> HawserError {
        if case .wrongMethod(let allowed) = route {
            return HawserError(.wrongMethod, "This path takes \(allowed).")
        }
        return HawserError(
            .notFound,
            "There is no such path in version \(ControlAPI.version) of the control protocol. Does the client need an update?"
        )
    }
}

/// Ends the connection after an answer.
struct ConnectionOver: Error {}
