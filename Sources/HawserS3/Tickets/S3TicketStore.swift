import AsyncHTTPClient
public import HawserFormat
public import HawserStorage
import NIOCore
import NIOHTTP1

/// A folder of a bucket for somebody who may only send requests that are signed one by one (``S3Ticket``), and for reading
/// perhaps has credentials.
///
/// Nothing can be deleted here: who signs also deletes.
public final class S3TicketStore: ObjectStore {
    private let configuration: S3Configuration
    private let issuer: any S3TicketIssuer
    private let reader: S3ObjectStore?
    private let owned: OwnedHTTPClient
    private let transport: S3Transport

    /// - Parameter reader: the same folder with credentials for reading; `nil`: reading needs tickets too.
    /// - Throws: `invalidArgument` for a configuration that can't work.
    public init(_ configuration: S3Configuration, issuer: any S3TicketIssuer, reader: S3ObjectStore?) throws {
        try configuration.validate()
        self.configuration = configuration
        self.issuer = issuer
        self.reader = reader
        owned = OwnedHTTPClient(try HTTPClient.Configuration(configuration))
        transport = S3Transport(
            client: owned.client,
            connections: configuration.connections,
            idleTimeout: configuration.timeouts.idle,
            clock: ContinuousClock()
        )
    }

    /// Closes all connections; requests that still run fail.
    public func shutdown() async {
        await owned.shutdown()
        await reader?.shutdown()
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        guard let ticket = try await issuer.ticket(toPut: key, length: bytes.count, sha256: sha256) else {
            return .existed
        }
        let operation = PutOperation(
            key: key,
            body: bytes,
            sha256: sha256,
            isConditional: true,
            sendsContentMD5: false
        )
        do {
            try await send(operation, .PUT, ticket)
            return .created
        } catch let error as HawserError where error.meaning == .exists {
            return try await existing(key, bytes)
        }
    }

    private func existing(_ key: ObjectKey, _ bytes: [UInt8]) async throws -> PutResult {
        let info = try await head(key)
        guard info?.length == bytes.count else {
            throw HawserError(
                key.name == nil ? .conflict : .damaged,
                "The storage holds \(info?.length ?? 0) bytes of an object of \(bytes.count). Run `hawser check`.",
                place: key.path
            )
        }
        if key.name == nil, try await get(key, range: nil) != bytes {
            throw HawserError(.conflict, "Another object of this name exists.", place: key.path)
        }
        return .existed
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        if let reader { return try await reader.get(key, range: range) }
        if let range, range.isEmpty || range.lowerBound < 0 || range.count > maximumObjectLength {
            throw HawserError(
                .invalidArgument,
                "\(range.lowerBound)..<\(range.upperBound) is not a range of an object.",
                place: key.path
            )
        }
        let operation = GetOperation(key: key, range: range)
        let range = operation.request(at: S3Location(configuration)).headers
        do {
            return try await send(operation, .GET, issuer.ticket(toGet: key, isRefused: false), range)
        } catch let error as HawserError where error.meaning == .denied || error.meaning == .expired {
            return try await send(operation, .GET, issuer.ticket(toGet: key, isRefused: true), range)
        }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        if let reader { return try await reader.head(key) }
        return try await issuer.list(prefix: key.path, after: nil, limit: 1).first { $0.key == key }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        if let reader { return try await reader.list(prefix: prefix, after: after, limit: limit) }
        return try await issuer.list(prefix: prefix, after: after, limit: limit)
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        throw HawserError(.unsupported, "With presigned requests the provider deletes.", place: keys.first?.path)
    }

    /// - Parameter more: headers that need no signature.
    @discardableResult
    private func send<Operation: S3Operation>(
        _ operation: Operation,
        _ method: HTTPMethod,
        _ ticket: S3Ticket,
        _ more: [(name: String, value: String)] = []
    ) async throws -> Operation.Output {
        var request = HTTPClientRequest(url: ticket.url)
        request.method = method
        // The client adds host and length, which the signature covers as well.
        let signed = ticket.headers.filter { !["host", "content-length"].contains($0.name.lowercased()) }
        request.headers = HTTPHeaders([("user-agent", "hawser")] + signed + more)
        let prepared = request
        let failure: S3Failure
        do {
            let (answer, _) = try await transport.send(body: operation.body) {
                (prepared, ())
            } plan: {
                try operation.plan($0)
            }
            if answer.head.isSuccess { return try operation.output(answer) }
            failure = S3Failure(answer)
        } catch let error as S3Failure {
            failure = error
        } catch var error as HawserError where error.place == nil {
            error.place = operation.place
            throw error
        }
        throw failure.error(
            place: operation.place,
            S3RequestContext(
                bucket: configuration.bucket,
                endpoint: configuration.endpoint,
                region: configuration.region,
                accessKeyID: nil,
                clockAhead: nil
            )
        )
    }
}
