import Crypto
import HTTPTypes
import HawserFormat
import HawserTesting
import HummingbirdCore
import NIOCore

/// What answers the requests of a server: from the head of a request to the last byte of its answer.
final class S3Service: Sendable {
    // A form of STS has a policy of 2 KiB, and perhaps the token of a web identity.
    private static let formLimit = 64 << 10

    let configuration: S3TestServer.Configuration
    let accounts: Accounts
    private let roles: RoleTable
    let table: BucketTable
    let faults = FaultScript()
    let log: RequestLog
    let connections = Connections()
    private let authenticator: Authenticator

    init(_ configuration: S3TestServer.Configuration) async throws {
        self.configuration = configuration
        accounts = Accounts(configuration.users)
        roles = RoleTable()
        table = BucketTable(configuration)
        log = RequestLog(limit: configuration.logLimit)
        authenticator = Authenticator(configuration: configuration, accounts: accounts, roles: roles)
        if case .folder(let path) = configuration.storage {
            for (bucket, objects) in try await ObjectFolder.open(path, buckets: configuration.buckets.map(\.name)) {
                table.restore(bucket, objects)
            }
        }
    }

    @concurrent
    func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let isSecure = configuration.security != .none
        let parsed = Result { () throws(ServiceError) in
            try IncomingRequest(request.head, domain: configuration.domain, isSecure: isSecure)
        }
        var record = RequestRecord(request.head, try? parsed.get(), log, now: configuration.now())
        let effects = faults.fire(record)
        var body = IncomingBody(request.body, effects)
        let expectsContinue = request.head.headerFields[.expect] != nil
        do {
            if configuration.delay > .zero { try await Task.sleep(for: configuration.delay) }
            var answer: Answer
            var isEarly = false
            switch try await prepare(parsed, effects, &record) {
            case .answer(let early):
                answer = early
                isEarly = expectsContinue
            case .proceed(let incoming, let identity):
                if expectsContinue { try await writer.writeInformationalHead(HTTPResponse(status: .continue)) }
                answer = try await perform(incoming, identity, effects, &body, &record)
            }
            if let script = try await effects.after() { answer = Answer(script) }
            if effects.changesBody { answer.body = .bytes(effects.changed(try await answer.body.collected())) }
            answer.headers += [
                ("date", configuration.now().http), ("x-amz-request-id", "\(record.number)"),
                ("server", "HawserTestServer"),
            ]
            // The client does not send the body then, and the connection can't go on without it.
            if isEarly { answer.headers.append(("connection", "close")) }
            record.finish(answer, bytesIn: body.received, cut: effects.bodyCut)
            // Before the answer goes, so that whoever has it finds it in the log.
            log.finish(record)
            try await OutgoingAnswer(answer, effects, isHead: record.method == "HEAD").write(writer, channel)
            if isEarly { throw ConnectionEnds.afterWrites }
        } catch {
            if record.status == nil {
                record.bytesIn = body.received
                log.finish(record)
            }
            switch error as? ConnectionEnds {
            case .afterWrites: await channel.closeAfterWrites()
            case .reset, nil: await channel.reset()
            }
            throw error
        }
    }

    private enum Preparation {
        case answer(Answer)
        case proceed(IncomingRequest, Identity?)
    }

    /// All that happens before the body is read.
    private func prepare(
        _ parsed: Result<IncomingRequest, ServiceError>,
        _ effects: FaultEffects,
        _ record: inout RequestRecord
    ) async throws -> Preparation {
        if let script = try await effects.before() { return .answer(Answer(script)) }
        do throws(ServiceError) {
            let incoming = try parsed.get()
            guard incoming.kind != .sts else { return .proceed(incoming, nil) }
            if effects.expiresToken {
                if let key = try Authorization(incoming)?.accessKeyID { accounts.expire(key, at: configuration.now()) }
                throw authenticator.expiredToken
            }
            let identity = try authenticator.authenticate(incoming, payload: nil)
            record.accessKeyID = identity.accessKeyID
            return .proceed(incoming, identity)
        } catch {
            return .answer(answer(to: error, record))
        }
    }

    @concurrent
    private func perform(
        _ incoming: IncomingRequest,
        _ identity: Identity?,
        _ effects: FaultEffects,
        _ body: inout IncomingBody,
        _ record: inout RequestRecord
    ) async throws -> Answer {
        do {
            guard let identity else { return try await giveTokens(incoming, &body, &record) }
            return try await S3Operations(incoming, identity, effects, table, configuration).run(&body)
        } catch let error as ServiceError {
            return answer(to: error, record)
        } catch let error as OpenFile.Failure {
            return answer(to: ServiceError(error), record)
        }
    }

    @concurrent
    private func giveTokens(
        _ incoming: IncomingRequest,
        _ body: inout IncomingBody,
        _ record: inout RequestRecord
    ) async throws -> Answer {
        guard configuration.behaviour.hasSecurityTokens else {
            throw ServiceError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        }
        let bytes = Array((try await body.collect(upTo: Self.formLimit)).readableBytesView)
        guard let form = RequestTarget.form(bytes) else {
            throw ServiceError(400, "MalformedInput", "The body is no form.")
        }
        let isIAM = form.contains(.init(name: "Version", value: RoleRequests.version))
        var identity: Identity?
        if !form.contains(.init(name: "Action", value: "AssumeRoleWithWebIdentity")) {
            let hash = hexadecimal(SHA256.hash(data: bytes))
            identity = try authenticator.authenticate(incoming, payload: hash, service: isIAM ? "iam" : "sts")
            record.accessKeyID = identity?.accessKeyID
        }
        if isIAM, let identity { return try RoleRequests(roles: roles).run(form, identity: identity) }
        return try SecurityTokens(configuration: configuration, accounts: accounts, roles: roles)
            .run(form, referer: incoming.headers["referer"], identity: identity)
    }

    private func answer(to error: ServiceError, _ record: RequestRecord) -> Answer {
        Answer(
            error,
            kind: record.kind,
            resource: "/" + (record.bucket ?? "") + (record.key.map { "/" + $0 } ?? ""),
            requestID: "\(record.number)",
            hasMessage: configuration.behaviour.hasErrorMessages
        )
    }
}

extension RequestRecord {
    /// Of a request that has just arrived.
    init(_ head: HTTPRequest, _ incoming: IncomingRequest?, _ log: RequestLog, now: Timestamp) {
        let kind = incoming?.kind ?? .unknown
        self.init(
            number: log.arrive(kind),
            kind: kind,
            method: head.method.rawValue,
            target: head.path ?? "",
            bucket: incoming?.bucket,
            key: incoming?.key?.text ?? (kind == .list ? incoming?.target["prefix"] ?? "" : nil),
            headers: incoming?.headers.values ?? [:],
            arrived: now
        )
    }

    fileprivate mutating func finish(_ answer: Answer, bytesIn: Int, cut: Int?) {
        status = answer.status
        code = answer.code
        self.bytesIn = bytesIn
        bytesOut = method == "HEAD" ? 0 : min(answer.body.length, cut ?? .max)
    }
}
