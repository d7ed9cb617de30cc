/// Packs that garbage collection means to delete, in clear: `condemned/<sha256>`.
///
/// To sessions, chunks in these packs are unknown.
public struct Condemned: Sendable, Hashable {
    /// Ascending by name.
    public private(set) var packs: [PackReference]
    /// The provider's fence when it was written: sessions older than it must have ended before anything is deleted.
    /// 0 without a provider.
    public var fence: UInt64
    /// By the writer's clock.
    public var created: Timestamp

    /// - Parameter packs: In any order, no name twice.
    public init(packs: [PackReference], fence: UInt64, created: Timestamp) {
        self.packs = packs.sorted { $0.name < $1.name }
        self.fence = fence
        self.created = created
    }

    /// The object; its SHA-256 is its name.
    ///
    /// - Throws: `invalidArgument` if a pack is there twice, or there is none.
    public func encode() throws -> [UInt8] {
        guard created.isValid, !packs.isEmpty else {
            throw HawserError(.invalidArgument, "A condemnation without packs or with an impossible time.")
        }
        return try ClearObject.encode(.condemned) { bytes in
            bytes.append(integer: fence)
            bytes.append(fixedTimestamp: created)
            try bytes.append(packs: packs)
        }
    }

    /// - Throws: `damaged`, or `unsupported` for a newer version.
    public init(decoding object: [UInt8]) throws {
        var reader = try ClearObject.reader(object, kind: .condemned)
        fence = try reader.read()
        created = try reader.readFixedTimestamp()
        packs = try reader.readPacks()
        try reader.expectNothingMore()
        guard !packs.isEmpty else { throw HawserError(.damaged, "A condemned object names no pack.") }
    }
}
