import HawserFormat
import HawserStorage
import Synchronization

/// The open packs of one kind. Pure: it says what to do, `RepositoryWriter` does it.
struct PackLane {
    /// Blobs go to either at random, so that the order of blobs in a pack does not show how files lie together.
    static let openPacks = 2

    let kind: PackKind
    let sizeLimit: Int
    let buffers: PackBufferPool
    private var open: [PackBuilder?] = Array(repeating: nil, count: openPacks)
    /// Which open pack the next blob goes to.
    private var choice = 0

    enum Step {
        case appended
        /// Full: upload it, then ask again.
        case upload(PackBuilder)
        /// Call `open(with:)`, then ask again.
        case needsBuffer
    }

    init(kind: PackKind, sizeLimit: Int, buffers: Int) {
        self.kind = kind
        self.sizeLimit = sizeLimit
        self.buffers = PackBufferPool(count: buffers)
    }

    mutating func append(_ blob: SealedBlob, in bytes: [UInt8], epoch: UInt8) throws -> Step {
        guard let fits = open[choice]?.canFit(storedLength: blob.range.count) else { return .needsBuffer }
        guard fits else {
            let full = open[choice].take()
            return full.map { .upload($0) } ?? .needsBuffer
        }
        try bytes.withUnsafeBytes { bytes in
            _ = try open[choice]?.append(
                UnsafeRawBufferPointer(rebasing: bytes[blob.range]),
                id: blob.id,
                type: blob.type,
                epoch: epoch,
                plainLength: blob.plainLength
            )
        }
        choice = Int.random(in: 0..<Self.openPacks)
        return .appended
    }

    mutating func open(with buffer: consuming [UInt8]) {
        open[choice] = PackBuilder(kind: kind, buffer: buffer, sizeLimit: sizeLimit)
    }

    /// The packs that are not full, joined when they fit into one.
    mutating func close() throws -> [PackBuilder] {
        var rest = open.compactMap { $0 }
        open = Array(repeating: nil, count: Self.openPacks)
        if rest.count == 2, rest[0].canJoin(rest[1]) {
            var second = rest[1]
            try rest[0].join(&second)
            rest[1] = second
        }
        for builder in rest where builder.isEmpty { buffers.give([]) }
        return rest.filter { !$0.isEmpty }
    }
}

/// A fixed number of pack buffers, reused so that their memory is touched for the first time only once.
final class PackBufferPool: Sendable {
    private let places: ByteBudget
    private let free = Mutex<[[UInt8]]>([])

    init(count: Int) {
        places = ByteBudget(total: count)
    }

    /// Waits until a buffer is free. What it holds from its last use is of no meaning.
    func take() async throws -> [UInt8] {
        try await places.reserve(1)
        return free.withLock { $0.popLast() } ?? []
    }

    func give(_ buffer: consuming [UInt8]) {
        free.withLock { [buffer] in $0.append(buffer) }
        places.release(1)
    }
}

/// The packs, by number, that something needs.
final class PackReferences: Sendable {
    private let words = Mutex<[UInt64]>([])

    func insert(_ pack: UInt32) {
        words.withLock { words in
            let word = Int(pack >> 6)
            while words.count <= word { words.append(0) }
            words[word] |= 1 << UInt64(pack & 63)
        }
    }

    var numbers: [UInt32] {
        words.withLock { words in
            words.indices.flatMap { word in
                (0..<64).compactMap { words[word] & (1 << UInt64($0)) == 0 ? nil : UInt32(word * 64 + $0) }
            }
        }
    }
}
