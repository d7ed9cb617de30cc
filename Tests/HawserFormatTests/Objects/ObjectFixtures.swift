import Crypto
import Testing

@testable import HawserFormat

/// Secrets, randomness and helpers that the tests of all object kinds share.
enum ObjectFixtures {
    static let repositoryID = [UInt8](repeating: 0x11, count: 32)
    static let epochs: [UInt8: [UInt8]] = [
        1: [UInt8](repeating: 0xe1, count: 32),
        2: [UInt8](repeating: 0xe2, count: 32),
    ]

    static let ring = KeyRing(
        repositoryID: repositoryID,
        configKey: Secret([UInt8](repeating: 0xcc, count: 32)),
        epochs: epochs.mapValues { Secret($0) },
        currentEpoch: 2
    )

    /// 0, 1, 2, …: what golden vectors are made with.
    static let counting = RandomSource { count in (0..<count).map { UInt8(truncatingIfNeeded: $0) } }

    static let sealer = ObjectSealer(
        repositoryID: repositoryID,
        epochs: epochs,
        currentEpoch: 2,
        random: counting
    )

    static func name(_ number: Int) -> ObjectName {
        ObjectName(hashOf: Array("object \(number)".utf8))
    }

    static func chunk(_ number: Int) -> ChunkID {
        ChunkID(Array(SHA256.hash(data: Array("chunk \(number)".utf8))))!
    }
}

extension ObjectFixtures {
    static let config = RepositoryConfig(
        repositoryID: repositoryID,
        secrets: RepositorySecrets(
            chunker: Secret([UInt8](repeating: 0x5c, count: 32)),
            id: Secret([UInt8](repeating: 0x1d, count: 32)),
            tree: Secret([UInt8](repeating: 0x77, count: 32))
        ),
        fileChunker: .files,
        imageChunker: .fixed(4 << 20)
    )

    static let slotMetadata = KeySlot.Metadata(
        created: Timestamp(seconds: 1_769_904_000, nanoseconds: 5),
        username: Array("anna".utf8),
        hostname: [0x68, 0xff],
        label: Array("laptop".utf8)
    )

    /// Six records of all metadata types in two packs; chunk 0 is in both.
    static let segment: IndexSegment = {
        let types: [ChunkType] = [.treePage, .contentList, .treePage, .attribute, .treePage]
        var records = types.enumerated().map { number, type in
            IndexRecord(
                blob: BlobRecord(
                    id: chunk(number),
                    type: type,
                    epoch: 2,
                    offset: UInt32(16 + 100 * number),
                    storedLength: 100,
                    plainLength: UInt32(0x1000000 - number) & 0xffffff
                ),
                packNumber: UInt32(number % 2)
            )
        }
        var copy = records[0]
        copy.packNumber = 1
        records.append(copy)
        let packs = (0..<2).map { IndexSegment.PackInfo(name: name($0), length: 65536) }
        do {
            return try IndexSegment(kind: .metadata, packs: packs, records: records, replaces: [name(9), name(8)])
        } catch {
            fatalError("The fixture is wrong: \(error)")
        }
    }()

    static let snapshot: Snapshot = {
        var summary = Snapshot.Summary(
            started: Timestamp(seconds: 1_769_904_000, nanoseconds: 123_456_789),
            ended: Timestamp(seconds: 1_769_904_060)
        )
        summary.files = 3
        summary.bytes = 9_007_199_254_740_993
        var snapshot = Snapshot(
            time: Timestamp(seconds: 1_769_904_000, nanoseconds: 123_456_789),
            hostname: [0x68, 0xff, 0x73, 0x74],
            username: Array("anna".utf8),
            paths: [Array("/home".utf8), Array("/srv/".utf8) + [0xfe]],
            tree: chunk(1),
            treeHeight: 2,
            programVersion: "hawser 1.0.0",
            summary: summary
        )
        snapshot.tags = [Array("daily".utf8)]
        snapshot.excludes = [Array("*.tmp".utf8)]
        snapshot.parent = name(1)
        snapshot.original = nil
        snapshot.session = "s-1"
        snapshot.fence = .max
        return snapshot
    }()

    static let checkpoint: Checkpoint = {
        var checkpoint = Checkpoint(
            started: Timestamp(seconds: 1_769_904_000),
            time: Timestamp(seconds: 1_769_904_600),
            hostname: Array("host".utf8),
            username: Array("anna".utf8),
            paths: [Array("/home".utf8)],
            programVersion: "hawser 1.0.0"
        )
        checkpoint.parent = name(1)
        checkpoint.session = "s-1"
        checkpoint.fence = 7
        checkpoint.prefix = EntryPath([0x61, 0x2f, 0xff]).map {
            Checkpoint.Prefix(tree: chunk(2), treeHeight: 1, lastPath: $0)
        }
        checkpoint.fileInWork = EntryPath(Array("a/big".utf8)).map { path in
            var entry = Entry(path: path, kind: .file)
            entry.size = 1 << 60
            entry.modified = Timestamp(seconds: 1_769_900_000, nanoseconds: 1)
            entry.content = .extents([.data(chunk(3), length: 1000), .hole(length: 3096)])
            return Checkpoint.FileInWork(entry: entry, offset: 4096)
        }
        return checkpoint
    }()

    static let refs = Refs(
        snapshot: name(100),
        generation: 1,
        packs: (0..<3).map {
            PackReference(name: name($0), length: UInt32(1000 + $0), isMetadata: $0.isMultiple(of: 2))
        }
    )

    static let condemned = Condemned(
        packs: (0..<3).map {
            PackReference(name: name($0), length: UInt32(1000 + $0), isMetadata: $0.isMultiple(of: 2))
        },
        fence: 42,
        created: Timestamp(seconds: 1_769_904_000, nanoseconds: 5)
    )
}

/// `nil` when `body` succeeds; anything but a `HawserError` fails the test.
func errorCode(_ body: () throws -> Void) -> HawserError.Code? {
    do {
        try body()
        return nil
    } catch let error as HawserError {
        return error.code
    } catch {
        Issue.record("Not a HawserError: \(error)")
        return nil
    }
}

/// Expects `decode` to refuse `object` with any one bit changed, cut off at any length, or with a byte more.
func expectEveryChangeIsRefused(
    _ object: [UInt8],
    sourceLocation: SourceLocation = #_sourceLocation,
    decode: ([UInt8]) throws -> Void
) {
    #expect(throws: Never.self, sourceLocation: sourceLocation) { try decode(object) }
    var accepted: [String] = []
    var changed = object
    for index in object.indices {
        for bit in 0..<8 {
            changed[index] ^= 1 << bit
            if errorCode({ try decode(changed) }) == nil { accepted.append("byte \(index) bit \(bit)") }
            changed[index] = object[index]
        }
        if errorCode({ try decode(Array(object[..<index])) }) == nil { accepted.append("length \(index)") }
    }
    if errorCode({ try decode(object + [0]) }) == nil { accepted.append("one byte more") }
    #expect(accepted == [], sourceLocation: sourceLocation)
}

/// For bodies inside an envelope, where a change can give another valid body: nothing may trap, and what is
/// decoded must encode to the same bytes again.
func expectEveryChangeIsRefusedOrCanonical(
    _ body: [UInt8],
    sourceLocation: SourceLocation = #_sourceLocation,
    recode: ([UInt8]) throws -> [UInt8]
) {
    func check(_ input: [UInt8], _ what: @autoclosure () -> String) {
        guard let output = try? recode(input) else { return }
        if output != input { Issue.record("\(what()) decodes to something else", sourceLocation: sourceLocation) }
    }
    var changed = body
    for index in body.indices {
        for bit in 0..<8 {
            changed[index] ^= 1 << bit
            check(changed, "byte \(index) bit \(bit)")
            changed[index] = body[index]
        }
        check(Array(body[..<index]), "length \(index)")
    }
    check(body + [0], "one byte more")
}
