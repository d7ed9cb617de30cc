/// What an object (or a sealed part of one) is; one byte of its clear header.
///
/// Part of the key derivation of everything sealed, so that one kind can't be passed off as another.
public enum HeaderKind: UInt8, Sendable, CaseIterable {
    case config = 1
    case keySlot = 2
    case dataPack = 3
    case metadataPack = 4
    case dataPackFooter = 5
    case metadataPackFooter = 6
    case dataPackTrailer = 7
    case metadataPackTrailer = 8
    case dataIndex = 9
    case metadataIndex = 10
    case snapshot = 11
    case receipt = 12
    case refs = 13
    case checkpoint = 14
    case condemned = 15
}

/// The first 16 bytes of every object, in clear: `magic 8 | kind 1 | version 1 | suite 1 | epoch 1 | zero 4`.
struct ObjectHeader: Hashable, Sendable {
    static let byteCount = 16
    /// Eight bytes that no other common format begins with; they also tell people what the object is.
    static let magic: [UInt8] = Array("HAWSER1\n".utf8)
    /// The only layout version there is.
    static let version: UInt8 = 1
    /// Suite of objects that are not sealed.
    static let clearSuite: UInt8 = 0
    /// AES-256-GCM, HMAC-SHA-256, HKDF-SHA-256.
    static let suite1: UInt8 = 1

    var kind: HeaderKind
    var suite: UInt8
    /// 0 where no key epoch is concerned.
    var epoch: UInt8

    var bytes: [UInt8] {
        Self.magic + [kind.rawValue, Self.version, suite, epoch, 0, 0, 0, 0]
    }

    init(kind: HeaderKind, suite: UInt8, epoch: UInt8 = 0) {
        self.kind = kind
        self.suite = suite
        self.epoch = epoch
    }

    /// - Throws: `damaged` if it is not a header of `kind`, `unsupported` if a newer program wrote it.
    init(_ reader: inout ByteReader, kind: HeaderKind, suite: UInt8) throws {
        guard try reader.read(count: Self.magic.count).elementsEqual(Self.magic) else {
            throw HawserError(.damaged, "This is not an object of Hawser's.")
        }
        let foundKind: UInt8 = try reader.read()
        let version: UInt8 = try reader.read()
        let foundSuite: UInt8 = try reader.read()
        epoch = try reader.read()
        let reserved: UInt32 = try reader.read()
        guard foundKind == kind.rawValue else {
            throw HawserError(.damaged, "The object is of kind \(foundKind), but \(kind.rawValue) belongs here.")
        }
        guard version == Self.version else {
            throw HawserError(.unsupported, "The object has format version \(version): a newer Hawser is needed.")
        }
        guard foundSuite == suite else {
            throw HawserError(.unsupported, "The object uses cipher suite \(foundSuite): a newer Hawser is needed.")
        }
        guard reserved == 0 else { throw HawserError(.damaged, "The reserved bytes of a header are not zero.") }
        self.kind = kind
        self.suite = suite
    }
}
