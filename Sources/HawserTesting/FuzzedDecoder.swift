import HawserFormat

/// A decoder of bytes from outside, as fuzzing and the crash tests call it.
///
/// `Fuzz/` feeds it what libFuzzer makes up from the seeds; the tests feed it every input in
/// `Tests/Fixtures/crashes/<name>/`, each of which once crashed it. Sealed objects are sealed here around the input,
/// because only the holder of the keys gets past the seal, and what lies behind it must be safe as well.
public struct FuzzedDecoder: Sendable {
    /// Also the name of its folder of crashes: lowercase letters and hyphens.
    public let name: String
    /// Valid inputs to begin with. They decode without an error.
    public let seeds: @Sendable () throws -> [[UInt8]]
    /// Throws `HawserError` for what is not valid, and nothing else.
    public let decode: @Sendable ([UInt8]) throws -> Void

    public init(
        _ name: String,
        seeds: @escaping @Sendable () throws -> [[UInt8]],
        decode: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.seeds = seeds
        self.decode = decode
    }

    /// Every decoder of the format. A new one is added here with its first test.
    public static let all: [FuzzedDecoder] = [
        .objectKey, .entryPath, .byteReader, .json,
        .wholePack, .packTrailer, .packFooter,
        .treePage, .contentList, .attributeBlob,
        .config, .keySlot, .sealedObject, .indexSegment, .snapshot, .checkpoint, .refs, .condemned,
        .compression("lz4"), .compression("zstd:3"),
    ]
}

extension FuzzedDecoder {
    private static let objectKey = FuzzedDecoder(
        "object-key",
        seeds: {
            let name = ObjectName(hashOf: [])
            let named: [ObjectKey] = ObjectKind.allCases.map { .named($0, name) }
            return (named + [.config(7), .refs(snapshot: name, name)]).map { Array($0.path.utf8) }
        },
        decode: { bytes in
            guard let key = ObjectKey(String(decoding: bytes, as: UTF8.self)) else { return }
            _ = (key.name, key.snapshot, key.generation)
        }
    )

    private static let entryPath = FuzzedDecoder(
        "entry-path",
        seeds: { [Array("/home/ada\0home/ada.txt".utf8), Array("a/b\0a-b".utf8)] },
        decode: { bytes in
            // Two paths, so that the order is exercised too.
            let halves = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
            let paths = halves.compactMap { EntryPath($0) }
            for path in paths { _ = (path.name, path.parent, path.components, displayText(path.bytes)) }
            guard paths.count == 2 else { return }
            let order = [paths[0] < paths[1], paths[1] < paths[0], paths[0] == paths[1]]
            precondition(order.count { $0 } == 1, "exactly one of before, after and equal")
            _ = paths[0].contains(paths[1])
        }
    )

    private static let byteReader = FuzzedDecoder(
        "byte-reader",
        seeds: { [[0, 0x80, 1, 1, 2, 3, 5, 2, 9, 9, 7]] },
        decode: { bytes in
            var reader = ByteReader(bytes)
            while !reader.isAtEnd {
                switch try reader.read(UInt8.self) & 7 {
                case 0: _ = try reader.readVarint()
                case 1: _ = try reader.read(UInt16.self)
                case 2: _ = try reader.read(UInt32.self)
                case 3: _ = try reader.read(Int64.self)
                case 4: _ = try reader.readLength(limit: 1 << 20)
                case 5: _ = try reader.readBytes(limit: 1 << 20)
                case 6: _ = try reader.readIdentifier() as ChunkID
                default: _ = reader.readRest()
                }
            }
        }
    )

    private static let json = FuzzedDecoder(
        "json",
        seeds: { [Array(#"{"a":[1,-2.5e3,true,null,"\u00e9\n"],"b":{"c":""}}"#.utf8)] },
        decode: { _ = try JSONValue(parsing: $0) }
    )

    /// The plain length, then the packed bytes: what an attacker without keys can't choose, but a bad disk can.
    private static func compression(_ method: String) -> FuzzedDecoder {
        FuzzedDecoder(
            "compression-" + method.prefix { $0 != ":" },
            seeds: {
                let plain = Array(String(repeating: "some text that shrinks, ", count: 100).utf8)
                var packed: [UInt8] = []
                let compressor = Compressor(method: CompressionMethod(method) ?? .auto)
                plain.withUnsafeBytes { compressor.compress($0, into: &packed) }
                var input: [UInt8] = []
                input.append(integer: UInt16(plain.count))
                return [input + packed]
            },
            decode: { bytes in
                var reader = ByteReader(bytes)
                let length = Int(try reader.read(UInt16.self))
                let compressor = Compressor(method: .auto)
                var plain: [UInt8] = []
                try reader.readRest().withUnsafeBytes { packed in
                    try compressor.decompress(packed, plainLength: length, into: &plain)
                    precondition(plain.count == length, "the exact length or an error")
                    let matches = try plain.withUnsafeBytes { try compressor.matches(packed, plain: $0) }
                    precondition(matches, "decompressing twice gives the same")
                }
            }
        )
    }
}
