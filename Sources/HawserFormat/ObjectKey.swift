/// The kinds of objects in a repository; the raw value is the first part of their keys.
public enum ObjectKind: String, Sendable, CaseIterable {
    case config = "config/"
    case keySlot = "keys/"
    case dataPack = "packs/d/"
    case metadataPack = "packs/m/"
    case dataIndex = "index/d/"
    case metadataIndex = "index/m/"
    case snapshot = "snapshots/"
    case receipt = "receipts/"
    case refs = "refs/"
    case checkpoint = "checkpoints/"
    case condemned = "condemned/"

    /// What the keys of this kind begin with.
    public var prefix: String { rawValue }
}

/// Where an object lies below the tenant's folder. Only keys of the grammar in `docs/format.md` can be made.
public struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let kind: ObjectKind
    public let path: String

    public var description: String { path }

    private init(kind: ObjectKind, rest: String) {
        self.kind = kind
        path = kind.prefix + rest
    }

    /// - Parameter generation: 1 or more.
    public static func config(_ generation: UInt32) -> ObjectKey {
        ObjectKey(kind: .config, rest: String(generation))
    }

    /// For kinds whose objects are called by their own SHA-256: all but `config`, `receipt` and `refs`.
    public static func named(_ kind: ObjectKind, _ name: ObjectName) -> ObjectKey {
        let hex = name.hex
        switch kind {
        case .dataPack, .metadataPack: return ObjectKey(kind: kind, rest: hex.prefix(2) + "/" + hex)
        case .keySlot, .dataIndex, .metadataIndex, .snapshot, .checkpoint, .condemned, .receipt, .config, .refs:
            return ObjectKey(kind: kind, rest: hex)
        }
    }

    public static func refs(snapshot: ObjectName, _ name: ObjectName) -> ObjectKey {
        ObjectKey(kind: .refs, rest: snapshot.hex + "/" + name.hex)
    }

    /// `nil` for anything that is not exactly a key of the grammar.
    public init?(_ path: some StringProtocol) {
        guard let kind = ObjectKind.allCases.first(where: { path.hasPrefix($0.prefix) }) else { return nil }
        let parts = path.dropFirst(kind.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let last = parts.last else { return nil }
        let key: ObjectKey
        switch kind {
        case .config:
            guard let generation = UInt32(last), generation > 0 else { return nil }
            key = .config(generation)
        case .refs:
            guard let snapshot = ObjectName(hex: parts[0]), let name = ObjectName(hex: last) else { return nil }
            key = .refs(snapshot: snapshot, name)
        default:
            guard let name = ObjectName(hex: last) else { return nil }
            key = .named(kind, name)
        }
        guard key.path == path else { return nil }
        self = key
    }

    /// The SHA-256 that the object's bytes must have; `nil` for `config` and `receipt`.
    public var name: ObjectName? {
        switch kind {
        case .config, .receipt: nil
        default: ObjectName(hex: path.suffix(64))
        }
    }

    /// The snapshot that a refs or receipt object belongs to.
    public var snapshot: ObjectName? {
        switch kind {
        case .refs: ObjectName(hex: path.dropFirst(kind.prefix.count).prefix(64))
        case .receipt: ObjectName(hex: path.suffix(64))
        default: nil
        }
    }

    /// The number of a `config` object.
    public var generation: UInt32? {
        kind == .config ? UInt32(path.dropFirst(kind.prefix.count)) : nil
    }

    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        left.path.utf8.lexicographicallyPrecedes(right.path.utf8)
    }
}
