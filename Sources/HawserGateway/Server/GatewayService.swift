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

/// Answers tenants: objects of the mover that their token stands for, and nothing else.
struct GatewayService: Sendable {
    let movers: Movers
    let link: ProviderLink
    let slots: FairSlots
    let metrics: GatewayServerMetrics
    /// By operation and, of what was refused, code.
    let failures: ThrottledLog<String>

    // After a refused upload, its client has so long to read why; the rest of its body is thrown away meanwhile.
    private static let patience = TimeAmount.seconds(15)
    // What only who is wrong or hostile is refused with; other refusals belong to each day.
    private static let suspicious: Set<String> = ["not_signed_in", "access_denied", "invalid_argument"]

    @concurrent
    func respond(_ request: Request, _ writer: consuming ResponseWriter, _ connection: ControlConnection) async throws {
        let route = GatewayRoute(request)
        if case .get(let key) = route {
            try await get(key, request, writer, connection)
            return
        }
        let answer = await answer(route, request, connection)
        if answer.closes {
            let channel = connection.channel
            channel.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
        }
        metrics.answered(route, answer.status)
        try await answer.write(writer)
    }

    @concurrent
    private func answer(
        _ route: GatewayRoute,
        _ request: Request,
        _ connection: ControlConnection
    ) async -> GatewayAnswer {
        do {
            let mover = try mover(request)
            mover.count(requests: 1)
            switch route {
            case .put(let key): return try await put(key, mover, request, connection)
            case .head(let key): return try await head(key, mover, connection.channel)
            case .list(let query): return try await list(query, mover, connection.channel)
            case .get, .unknown:
                throw HawserError(.invalidArgument, "There is no such path: keys are of the format's grammar.")
            }
        } catch {
            var answer = GatewayAnswer(problem(error, route, connection))
            answer.hasBody = request.method != .head
            answer.closes = request.method == .put
            return answer
        }
    }

    private func problem(
        _ error: any Error,
        _ route: GatewayRoute,
        _ connection: ControlConnection
    ) -> ControlProblem {
        if let problem = ControlProblem(answerable: error) {
            let client = connection.address.map { "\($0)" } ?? "unknown"
            failures.note(
                "\(route.name) \(problem.code)",
                Self.suspicious.contains(problem.code) ? .notice : .debug,
                "Request refused",
                ["operation": "\(route.name)", "code": "\(problem.code)", "client": "\(client)"]
            )
            return problem
        }
        guard !(error is CancellationError) else {
            return ControlProblem(.unavailable, "The gateway server stops. Try again.", retryAfter: 1)
        }
        failures.note(
            route.name,
            .warning,
            "Request failed",
            ["operation": "\(route.name)", "error": "\(error)"]
        )
        let known = error as? HawserError
        if known?.code == .damaged {
            return ControlProblem(.damaged, "The storage holds something else under this key. Run `hawser check`.")
        }
        return ControlProblem(
            .unavailable,
            "The gateway server has trouble with the storage or the provider's server; its log says which.",
            retryAfter: known?.isRetryable ?? true ? (known?.retryAfter ?? .seconds(2)) / .seconds(1) : nil
        )
    }

    private func mover(_ request: Request) throws -> TargetMover {
        guard let header = request.headers[.authorization], header.utf8.count < 256,
            header.prefix(7).lowercased() == "bearer ", let token = Base64URL.bytes(header.dropFirst(7)),
            let mover = movers.mover(token: Data(SHA256.hash(data: token)))
        else { throw HawserError.unknownToken }
        return mover
    }

    // MARK: Reading

    private func head(_ key: ObjectKey, _ mover: TargetMover, _ channel: any Channel) async throws -> GatewayAnswer {
        let found = try await slots.withSlot(of: mover.order, channel) { try await mover.store().head(key) }
        guard let found else { throw HawserError(.notFound, "There is no such object.") }
        var answer = GatewayAnswer(.ok)
        answer.hasBody = false
        answer.headers[.contentLength] = "\(found.length)"
        if let stored = found.stored, let name = HTTPField.Name(GatewayAPI.stored) {
            answer.headers[name] = "\(stored.seconds)"
        }
        return answer
    }

    private func list(
        _ query: GatewayRoute.Query,
        _ mover: TargetMover,
        _ channel: any Channel
    ) async throws -> GatewayAnswer {
        let objects = try await slots.withSlot(of: mover.order, channel) {
            try await mover.store().list(prefix: query.prefix, after: query.after, limit: query.limit)
        }
        return try GatewayAnswer(
            ListingAnswer(
                objects: objects.map {
                    .init(key: $0.key.path, length: $0.length, stored: $0.stored.map { Double($0.seconds) })
                }
            )
        )
    }

    @concurrent
    private func get(
        _ key: ObjectKey,
        _ request: Request,
        _ writer: consuming ResponseWriter,
        _ connection: ControlConnection
    ) async throws {
        let route = GatewayRoute.get(key)
        let mover: TargetMover
        do {
            mover = try self.mover(request)
            mover.count(requests: 1)
            try await slots.take(mover.order.tenant, in: mover.order.repository, connection.channel)
        } catch {
            let answer = GatewayAnswer(problem(error, route, connection))
            metrics.answered(route, answer.status)
            return try await answer.write(writer)
        }
        defer { slots.give(mover.order.tenant, in: mover.order.repository) }
        var head = HTTPResponse(status: .ok)
        let download: S3Download
        do {
            let range = try GatewayRoute.range(request)
            download = try await mover.store().open(key, range: range)
            if let range {
                head.status = .partialContent
                head.headerFields[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/*"
            }
        } catch {
            let answer = GatewayAnswer(problem(error, route, connection))
            metrics.answered(route, answer.status)
            return try await answer.write(writer)
        }
        head.headerFields[.contentType] = "application/octet-stream"
        head.headerFields[.contentLength] = "\(download.length)"
        metrics.answered(route, head.status)
        let watch = ClientWatch()
        let watching = watch.start(connection.channel)
        defer { watching.cancel() }
        // From here on the connection's end says that it failed.
        var body = try await writer.writeHead(head)
        try await download.read { piece in
            try await mover.pass(piece.readableBytes)
            watch.begin()
            try await body.write(piece)
            watch.end(piece.readableBytes)
            metrics.sent(piece.readableBytes)
            mover.count(egress: piece.readableBytes)
        }
        watch.begin()
        try await body.finish(nil)
    }
}
