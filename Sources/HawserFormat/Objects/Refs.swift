/// The packs that a snapshot (or checkpoint) needs, in clear: `refs/<snapshot id>/<sha256>`.
///
/// Durable before the snapshot. Several can exist for one snapshot, and the union of all protects.
public struct Refs: Sendable, Hashable {
    public enum Packs: Sendable, Hashable {
        /// All packs, ascending by name.
        case full([PackReference])
        /// The packs of a full refs object, but for these; both ascending by name.
        case delta(base: Base, added: [PackReference], removed: [ObjectName])
    }

    /// The full refs object that a delta builds on.
    public struct Base: Sendable, Hashable {
        /// Of whatever snapshot it was written for.
        public var snapshot: ObjectName
        public var name: ObjectName

        public init(snapshot: ObjectName, name: ObjectName) {
            self.snapshot = snapshot
            self.name = name
        }

        public var key: ObjectKey { .refs(snapshot: snapshot, name) }
    }

    /// The id of the snapshot or checkpoint.
    public var snapshot: ObjectName
    /// Counted from 1; a repack writes the next one before it condemns a pack.
    public var generation: UInt32
    public var packs: Packs

    /// - Parameter packs: In any order, no name twice.
    public init(snapshot: ObjectName, generation: UInt32, packs: [PackReference]) {
        self.snapshot = snapshot
        self.generation = generation
        self.packs = .full(packs.sorted { $0.name < $1.name })
    }

    /// The difference to a full refs object, or all packs if that is not shorter by half.
    ///
    /// - Parameters:
    ///   - packs: In any order, no name twice.
    ///   - base: A full refs object as stored, and the snapshot that its key names.
    public init(
        snapshot: ObjectName,
        generation: UInt32,
        packs: [PackReference],
        base: Base,
        basePacks: [PackReference]
    ) {
        let known = Set(basePacks)
        let wanted = Set(packs)
        let removed = basePacks.filter { !wanted.contains($0) }.map(\.name)
        let added = packs.filter { !known.contains($0) }
        self.init(snapshot: snapshot, generation: generation, packs: packs)
        // A delta costs its reader a second request, so it must be worth it.
        guard added.count + removed.count <= packs.count / 2 else { return }
        self.packs = .delta(base: base, added: added.sorted { $0.name < $1.name }, removed: removed.sorted())
    }

    /// The base whose object must be read to know all packs.
    public var base: Base? {
        if case .delta(let base, _, _) = packs { base } else { nil }
    }

    /// All packs, ascending by name.
    ///
    /// - Parameter base: The object that `base` names, decoded; it must have been checked to have that name.
    /// - Throws: `damaged` if the base is missing, is a delta itself, or the difference does not fit it.
    public func resolve(base: Refs? = nil) throws -> [PackReference] {
        switch packs {
        case .full(let packs): return packs
        case .delta(let named, let added, let removed):
            guard let base, base.snapshot == named.snapshot, case .full(let basePacks) = base.packs else {
                throw HawserError(.damaged, "The refs object's base is missing or no full one.")
            }
            let gone = Set(removed)
            let kept = basePacks.filter { !gone.contains($0.name) }
            guard basePacks.count - kept.count == gone.count else {
                throw HawserError(.damaged, "The refs object takes away packs that its base does not have.")
            }
            let all = (kept + added).sorted { $0.name < $1.name }
            guard all.isCanonical else {
                throw HawserError(.damaged, "The refs object adds packs that its base has.")
            }
            return all
        }
    }

    // MARK: Coding

    // `snapshot 32 | generation 4 | form 1`, then of a full one the packs, of a delta
    // `base snapshot 32 | base name 32 | packs | removed names`.
    private static let full: UInt8 = 0
    private static let delta: UInt8 = 1

    /// The object; its SHA-256 is its name.
    ///
    /// - Throws: `invalidArgument` if a pack is there twice.
    public func encode() throws -> [UInt8] {
        guard generation > 0 else { throw HawserError(.invalidArgument, "Generations are counted from 1.") }
        return try ClearObject.encode(.refs) { bytes in
            bytes.append(identifier: snapshot)
            bytes.append(integer: generation)
            switch packs {
            case .full(let packs):
                bytes.append(Self.full)
                try bytes.append(packs: packs)
            case .delta(let base, let added, let removed):
                bytes.append(Self.delta)
                bytes.append(identifier: base.snapshot)
                bytes.append(identifier: base.name)
                try bytes.append(packs: added)
                try bytes.append(names: removed)
            }
        }
    }

    /// - Throws: `damaged`, or `unsupported` for a newer version.
    public init(decoding object: [UInt8]) throws {
        var reader = try ClearObject.reader(object, kind: .refs)
        snapshot = try reader.readIdentifier()
        generation = try reader.read()
        guard generation > 0 else { throw HawserError(.damaged, "A refs object has no generation.") }
        if try reader.readFlag() {
            let base = try Base(snapshot: reader.readIdentifier(), name: reader.readIdentifier())
            packs = try .delta(base: base, added: reader.readPacks(), removed: reader.readNames())
        } else {
            packs = try .full(reader.readPacks())
        }
        try reader.expectNothingMore()
    }
}
