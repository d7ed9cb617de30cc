import Crypto

@testable import HawserFormat

/// What the tests of trees share: seeded random entries, ids, and a store of pages.
enum TreeFixtures {
    static let treeKey = [UInt8](repeating: 0x54, count: 32)

    /// A keyed hash as good as the repository's.
    static let id: TreeBuilder.ChunkIDFunction = { bytes, type in
        var hash = SHA256()
        hash.update(data: [type.rawValue])
        hash.update(bufferPointer: bytes)
        return hash.finalize().withUnsafeBytes { ChunkID($0) }
    }

    static func chunkID(_ number: Int) -> ChunkID {
        var bytes: [UInt8] = []
        bytes.append(integer: UInt64(number))
        return bytes.withUnsafeBytes { id($0, .data) }
    }

    static func path(_ text: String) -> EntryPath { EntryPath(unchecked: Array(text.utf8)) }

    /// SplitMix64.
    struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }

        mutating func bytes(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
        }

        mutating func chance(_ oneOf: Int) -> Bool { Int.random(in: 0..<oneOf, using: &self) == 0 }

        mutating func name() -> [UInt8] {
            let alphabet: [UInt8] = chance(4) ? Array(1...255) : Array("abAB-._".utf8)
            while true {
                let length = Int.random(in: 1...(chance(20) ? 200 : 4), using: &self)
                let name = (0..<length).map { _ in alphabet.randomElement(using: &self) ?? 1 }
                if EntryPath.isValidName(name) { return name }
            }
        }

        mutating func path() -> EntryPath {
            var path = EntryPath.root
            for _ in 0..<Int.random(in: 0...5, using: &self) { path = path.appending(name()) }
            return path
        }

        mutating func timestamp() -> Timestamp {
            let seconds: Int64 =
                [.min, .max, -1, 0, 1 << 31, .random(in: (-1 << 40)...(1 << 40), using: &self)]
                .randomElement(using: &self) ?? 0
            return Timestamp(seconds: seconds, nanoseconds: .random(in: 0..<1_000_000_000, using: &self))
        }

        mutating func extents(_ count: Int) -> [Extent] {
            var extents: [Extent] = []
            while extents.count < count {
                let next: Extent
                switch Int.random(in: 0..<6, using: &self) {
                case 0: next = .zero(length: .random(in: 1...(1 << 40), using: &self))
                case 1: next = .hole(length: .random(in: 1...(1 << 40), using: &self))
                default: next = .data(ChunkID(bytes(32))!, length: .random(in: 1..<Extent.dataLimit, using: &self))
                }
                if extents.last?.merges(with: next) != true { extents.append(next) }
            }
            return extents
        }

        mutating func entry(at path: EntryPath) -> Entry {
            var entry = Entry(path: path, kind: Entry.Kind.allCases.randomElement(using: &self) ?? .file)
            entry.mode = .random(in: 0...0o7777, using: &self)
            entry.userID = .random(in: 0...3, using: &self)
            entry.groupID = chance(2) ? .max : 0
            entry.userName = chance(2) ? [] : Array("root".utf8)
            entry.groupName = chance(3) ? bytes(5) : []
            entry.modified = timestamp()
            entry.changed = timestamp()
            entry.inode = chance(5) ? .max : .random(in: 0...(1 << 32), using: &self)
            if chance(3) { entry.created = timestamp() }
            if chance(6) { entry.inodeFlags = .random(in: 0...UInt32.max, using: &self) }
            if chance(6) { entry.linkGroup = .random(in: 0...UInt64.max, using: &self) }
            entry.changedWhileRead = chance(9)
            if chance(6) {
                entry.attributeBlob = ChunkID(bytes(32))
            } else if chance(4) {
                let names = Set((0...3).map { _ in name() }).sorted { $0.lexicographicallyPrecedes($1) }
                entry.attributes = names.map {
                    ExtendedAttribute(name: $0, value: bytes(.random(in: 0...40, using: &self)))
                }
            }
            if chance(9) {
                entry.unknownFields = [
                    .init(tag: 12, value: bytes(3)), .init(tag: 99, value: []), .init(tag: .max, value: bytes(1)),
                ]
            }
            addKindFields(to: &entry)
            return entry
        }

        private mutating func addKindFields(to entry: inout Entry) {
            switch entry.kind {
            case .file:
                switch Int.random(in: 0..<4, using: &self) {
                case 0: entry.content = .inline(bytes(.random(in: 0...Entry.inlineLimit, using: &self)))
                case 1: entry.content = .list(ChunkID(bytes(32))!, height: .random(in: 0...3, using: &self))
                default: entry.content = .extents(extents(.random(in: 1...Entry.extentLimit, using: &self)))
                }
                switch entry.content {
                case .inline(let bytes): entry.size = UInt64(bytes.count)
                case .extents(let extents): entry.size = extents.checkedLength() ?? 0
                default: entry.size = chance(2) ? UInt64(Int64.max) : 1 << 40
                }
            case .symlink: entry.linkTarget = name()
            case .characterDevice, .blockDevice:
                entry.device = .init(major: .random(in: 0...UInt32.max, using: &self), minor: 7)
            default: break
            }
        }

        mutating func entries(_ count: Int) -> [Entry] {
            Set((0..<count).map { _ in path() }).sorted().map { entry(at: $0) }
        }
    }

    /// Small files in directories, as many trees are.
    static func files(_ count: Int, perDirectory: Int = 40) -> [Entry] {
        (0..<count).map { number in
            var entry = Entry(path: path("home/d\(number / perDirectory)/file-\(number).txt"), kind: .file)
            entry.mode = 0o644
            entry.userID = 1_000
            entry.userName = Array("ada".utf8)
            entry.size = 1 << 20
            entry.modified = Timestamp(seconds: 1_700_000_000 + Int64(number), nanoseconds: 5)
            entry.changed = entry.modified
            entry.inode = UInt64(number)
            entry.content = .extents([.data(chunkID(number), length: 1 << 20)])
            return entry
        }
        .sorted { $0.path < $1.path }
    }

    static let manyFiles = files(5_000)

    /// Of `manyFiles`.
    static let largeTree: Tree = {
        do { return try Tree(manyFiles) } catch { preconditionFailure("\(error)") }
    }()

    /// A built tree, with its pages by id.
    struct Tree {
        var root: TreeRoot
        var pages: [ChunkID: [UInt8]] = [:]
        /// In the order in which they were made.
        var blobs: [TreeBlob] = []

        init(_ entries: [Entry], key: [UInt8] = TreeFixtures.treeKey, mask: UInt8 = 0xff) throws {
            var builder = TreeBuilder(key: TreeKey(key, mask: mask), id: TreeFixtures.id)
            for entry in entries { blobs += try builder.append(entry) }
            let end = builder.finish()
            blobs += end.blobs
            root = end.root
            for blob in blobs { pages[blob.id] = blob.bytes }
        }

        func page(_ reference: PageReference) throws -> TreePage {
            guard let bytes = pages[reference.id] else { throw HawserError(.notFound, "No such page.") }
            return try TreePage(decoding: bytes, level: reference.level)
        }

        /// What a cursor gives, and how many pages it asked for.
        func read(_ cursor: TreeCursor) throws -> (entries: [Entry], pages: Int) {
            var cursor = cursor
            var entries: [Entry] = []
            var count = 0
            while true {
                switch cursor.next() {
                case .entry(let entry): entries.append(entry)
                case .needsPage(let reference):
                    count += 1
                    try cursor.supply(page(reference))
                case .end: return (entries, count)
                }
            }
        }
    }
}
