public import HawserFormat

/// Keeps the average of uploaded and downloaded bytes below a limit, which can be changed while requests wait.
///
/// An object goes in one piece: with a limit of 1 MiB/s, one of 16 MiB goes at full speed and the next begins 16
/// seconds later.
public final class ThrottledStore: ObjectStore {
    /// Bytes per second, above 0; `nil`: no limit.
    public struct Limits: Hashable, Sendable {
        public var upload: Int?
        public var download: Int?

        public init(upload: Int? = nil, download: Int? = nil) {
            self.upload = upload
            self.download = download
        }

        public static let none = Limits()

        fileprivate func validate() throws {
            guard (upload ?? 1) > 0, (download ?? 1) > 0 else {
                throw HawserError(.invalidArgument, "A bandwidth limit must be above zero.")
            }
        }
    }

    private let base: any ObjectStore
    private let upload: Throttle
    private let download: Throttle
    private let update: @Sendable () -> Limits?

    /// - Parameter update: gives limits that take the place of those that hold, or `nil`. It is asked before each request
    ///   and some times a second while one waits, so it must be quick; limits that are not above 0 are passed over.
    /// - Throws: `invalidArgument` for a limit that is not above 0.
    public init(
        _ base: any ObjectStore,
        limits: Limits,
        update: @escaping @Sendable () -> Limits? = { nil },
        clock: any Clock<Duration> = ContinuousClock()
    ) throws {
        try limits.validate()
        self.base = base
        self.update = update
        upload = Throttle(rate: limits.upload, clock: clock)
        download = Throttle(rate: limits.download, clock: clock)
    }

    public var limits: Limits { Limits(upload: upload.rate, download: download.rate) }

    /// Takes effect within a quarter of a second, also for requests that wait.
    public func setLimits(_ limits: Limits) throws {
        try limits.validate()
        upload.setRate(limits.upload)
        download.setRate(limits.download)
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        try await upload.admit(bytes.count, refresh)
        return try await base.put(key, bytes, sha256: sha256)
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        let expected = range.map(Self.plausibleLength) ?? 0
        try await download.admit(expected, refresh)
        do {
            let bytes = try await base.get(key, range: range)
            // The length of a whole object is known only now; it holds up the next one.
            download.charge(bytes.count - expected)
            return bytes
        } catch {
            download.refund(expected)
            throw error
        }
    }

    private func refresh() {
        if let limits = update() { try? setLimits(limits) }
    }

    /// The store below refuses an impossible range; here it must not hold up the others for ever.
    private static func plausibleLength(_ range: Range<Int>) -> Int {
        range.lowerBound < 0 ? 0 : min(range.count, maximumObjectLength)
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await base.head(key)
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await base.list(prefix: prefix, after: after, limit: limit)
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try await base.delete(keys)
    }
}
