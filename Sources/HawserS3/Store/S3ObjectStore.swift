public import AsyncHTTPClient
public import HawserFormat
public import HawserStorage
public import Logging
import Synchronization

/// Objects in a folder of an S3 bucket.
///
/// Each object is one PUT of known length whose SHA-256 is signed: no multipart, no trailers, no chunked coding, which
/// half of the storages in use get wrong. `If-None-Match: *` keeps what is there; where a storage does not know it
/// (`S3Configuration.hasConditionalPuts`) the store looks first, and two racing puts of one object both succeed.
///
/// What the storage refuses only because of how it was asked is asked again once, changed: in the region that it names
/// (which is kept), with the time of its clock (kept as well), with other credentials where the provider has some.
/// Everything else is thrown; `RetryingStore` repeats what can pass.
///
/// A request is given up when nothing moves for `S3Configuration.Timeouts.idle`; there is no limit for the whole. An
/// upload counts as moving when the network takes 128 KiB of it, and some 300 KiB of it may be on their way when the
/// last are taken: so it needs some 6 KiB/s at the default of a minute.
///
/// Uploads are copied in pieces of 128 KiB as the network takes them, downloads once, into an array of their length.
public final class S3ObjectStore: ObjectStore {
    struct State {
        /// Where and in which region; learned when the storage says that it is another.
        var location: S3Location
        /// Seconds by which this machine's clock is ahead of the storage's, as far as that had to be found out.
        var clockAhead: Int64 = 0
        /// The storage has no request that deletes many.
        var deletesSingly = false
        /// As configured, until the storage is known better.
        var sendsContentMD5: Bool
        var hasConditionalPuts: Bool
        var lock: ObjectLock?
    }

    let configuration: S3Configuration
    let credentials: any S3CredentialsProvider
    let transport: S3Transport
    let logger: Logger
    let now: @Sendable () -> Timestamp
    let state: Mutex<State>
    private let owned: OwnedHTTPClient?

    /// A store with an HTTP client of its own. It connects when it is first used. End it with `shutdown()`, or use
    /// `withStore`; when it is dropped instead, its connections are closed some time later.
    ///
    /// - Throws: `invalidArgument` for a configuration that can't work.
    public convenience init(
        _ configuration: S3Configuration,
        credentials: any S3CredentialsProvider,
        logger: Logger = Logger(label: "hawser.s3")
    ) throws {
        let owned = OwnedHTTPClient(try HTTPClient.Configuration(configuration))
        try self.init(configuration, credentials: credentials, client: owned.client, owned: owned, logger: logger)
    }

    /// A store that uses a client of yours, which must outlive it. Make the client with
    /// `HTTPClient.Configuration(_: S3Configuration)`, or see there what it must not do; of `configuration` it does not
    /// take the time-out for connecting, the certificate authorities, and the proxy.
    public convenience init(
        _ configuration: S3Configuration,
        credentials: any S3CredentialsProvider,
        client: HTTPClient,
        logger: Logger = Logger(label: "hawser.s3")
    ) throws {
        try self.init(configuration, credentials: credentials, client: client, owned: nil, logger: logger)
    }

    init(
        _ configuration: S3Configuration,
        credentials: any S3CredentialsProvider,
        client: HTTPClient,
        owned: OwnedHTTPClient?,
        logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Timestamp = { .now }
    ) throws {
        try configuration.validate()
        self.configuration = configuration
        self.credentials = credentials
        self.owned = owned
        self.logger = logger
        self.now = now
        transport = S3Transport(
            client: client,
            connections: configuration.connections,
            idleTimeout: configuration.timeouts.idle,
            clock: clock
        )
        state = Mutex(
            State(
                location: S3Location(configuration),
                sendsContentMD5: configuration.sendsContentMD5,
                hasConditionalPuts: configuration.hasConditionalPuts
            )
        )
    }

    /// Closes the connections of the store's own client; requests that still run fail. A client of yours stays as it is.
    public func shutdown() async {
        await owned?.shutdown()
    }

    /// A store for the time of `body`.
    public static func withStore<Result>(
        _ configuration: S3Configuration,
        credentials: any S3CredentialsProvider,
        logger: Logger = Logger(label: "hawser.s3"),
        _ body: (S3ObjectStore) async throws -> Result
    ) async throws -> Result {
        let store = try S3ObjectStore(configuration, credentials: credentials, logger: logger)
        let result: Result
        do {
            result = try await body(store)
        } catch {
            await store.shutdown()
            throw error
        }
        await store.shutdown()
        return result
    }

    /// The region that requests are signed for: the configured one, or what the storage named instead.
    public var region: String { state.withLock { $0.location.region } }

    /// By how much this machine's clock is ahead of the storage's, negative when it is behind; zero until the storage has
    /// refused a request for its time.
    public var clockAhead: Duration { .seconds(state.withLock { $0.clockAhead }) }

    /// From now on objects are put as is best for a storage of this profile.
    public func adopt(_ profile: StorageProfile) {
        state.withLock { state in
            state.hasConditionalPuts = profile.hasConditionalPuts
            state.sendsContentMD5 = profile.needsContentMD5
            state.deletesSingly = profile.traits[.multiDelete] == false
        }
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        guard bytes.count <= maximumObjectLength else {
            throw HawserError(.invalidArgument, "The object is longer than any may be.", place: key.path)
        }
        let (isConditional, sendsContentMD5) = state.withLock { state in
            // In a bucket with locks nothing is taken without a checksum besides the signed one, and this is the one that
            // every storage knows: Backblaze refuses the newer ones.
            (state.hasConditionalPuts, state.sendsContentMD5 || state.lock != nil)
        }
        let retention = retention(for: key)
        if !isConditional, let result = try await existing(key, bytes) { return result }
        do {
            try await perform(
                PutOperation(
                    key: key,
                    body: bytes,
                    sha256: sha256,
                    isConditional: isConditional,
                    sendsContentMD5: sendsContentMD5,
                    retention: retention
                )
            )
            return .created
        } catch let error as HawserError where retention != nil && (error.cause as? S3Failure)?.code == "InvalidRequest"
        {
            throw error.withoutLocks
        } catch let error as HawserError where error.meaning == .exists {
            if let result = try await existing(key, bytes) { return result }
            throw HawserError(
                .unavailable,
                "The storage says that the object exists, and that it does not.",
                place: key.path,
                cause: error,
                isRetryable: true
            )
        }
    }

    /// What a put of these bytes gives because of what is there; `nil` when nothing is.
    private func existing(_ key: ObjectKey, _ bytes: [UInt8]) async throws -> PutResult? {
        guard let info = try await head(key) else { return nil }
        guard info.length == bytes.count else {
            throw HawserError(
                key.name == nil ? .conflict : .damaged,
                "The storage holds \(info.length) bytes of an object of \(bytes.count). Run `hawser check`.",
                place: key.path
            )
        }
        // A name that is the hash of the bytes says that they are the same; of others they have to be seen.
        if key.name == nil, try await get(key, range: nil) != bytes {
            throw HawserError(.conflict, "Another object of this name exists.", place: key.path)
        }
        return .existed
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        if let range, range.isEmpty || range.lowerBound < 0 || range.count > maximumObjectLength {
            throw HawserError(
                .invalidArgument,
                "\(range.lowerBound)..<\(range.upperBound) is not a range of an object.",
                place: key.path
            )
        }
        guard let bytes = try await unlessMissing(key, GetOperation(key: key, range: range)) else {
            throw HawserError(.notFound, "There is no such object.", place: key.path)
        }
        return bytes
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await unlessMissing(key, HeadOperation(key: key))
    }

    /// `nil` when the object is not there. Where the right to list has a condition on the prefix, HEAD and GET of such an
    /// object are refused like those of a foreign one (Ceph; "HeadObject" in the Amazon S3 API Reference); a list tells
    /// the two apart.
    private func unlessMissing<Operation: S3Operation>(
        _ key: ObjectKey,
        _ operation: Operation
    ) async throws -> Operation.Output? {
        var attempts = 3
        while true {
            do {
                return try await perform(operation)
            } catch let error as HawserError {
                if error.meaning == .noObject { return nil }
                guard error.meaning == .denied, let isListed = await isListed(key) else { throw error }
                if !isListed { return nil }
                // Somebody may have put it between the two looks.
                attempts -= 1
                if attempts == 0 { throw error }
            }
        }
    }

    /// `nil` when the list is refused too.
    private func isListed(_ key: ObjectKey) async -> Bool? {
        guard let found = try? await list(prefix: key.path, after: nil, limit: 1) else { return nil }
        return found.first?.key == key
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        guard (1...ObjectListing.pageSize).contains(limit) else {
            throw HawserError(.invalidArgument, "A list has 1 to \(ObjectListing.pageSize) objects, not \(limit).")
        }
        var assembly = S3ListAssembly(folder: configuration.prefix, prefix: prefix, after: after, limit: limit)
        while try await !assembly.add(perform(assembly.nextRequest)) {}
        return assembly.objects
    }
}

extension HawserError {
    /// Of what an S3 storage answered.
    var meaning: S3Failure.Meaning? { (cause as? S3Failure)?.meaning }
}
