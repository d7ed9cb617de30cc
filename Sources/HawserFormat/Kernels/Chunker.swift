/// Cuts a stream of bytes into chunks: at places that its content decides (`gear64`), or at fixed lengths.
///
/// A value: a copy goes on by itself. Where it cuts does not depend on how the stream is split into buffers.
///
/// `gear64` is the gear hash of FastCDC (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach
/// for Data Deduplication", 2016) with two thresholds, so that lengths gather around the average. The table of the hash is
/// secret: without it nobody can tell where a known file would be cut.
public struct Chunker: Sendable {
    private let parameters: ChunkerParameters
    private let table: GearTable
    /// A cut follows a hash below this, in chunks shorter than the average.
    private let lowThreshold: UInt64
    /// The same in longer chunks.
    private let highThreshold: UInt64
    /// Bytes of the current chunk that were taken.
    private var length = 0
    /// Of the last 64 bytes, once the chunk is nearly as long as the minimum.
    private var hash: UInt64 = 0

    // FastCDC's normalisation level 2: 4 times fewer cuts than the average asks for before it, 4 times more after it.
    private static let normalization = 2

    /// - Parameters:
    ///   - parameters: Valid ones (see `ChunkerParameters.validate()`).
    ///   - secret: The repository's chunker secret, 32 random bytes.
    /// - Precondition: The parameters are valid.
    public init(parameters: ChunkerParameters, secret: [UInt8]) {
        precondition((try? parameters.validate()) != nil, "chunker parameters out of range")
        self.parameters = parameters
        table = GearTable(secret: secret)
        let bits = parameters.average.trailingZeroBitCount
        lowThreshold = 1 << UInt64(64 - bits - Self.normalization)
        highThreshold = 1 << UInt64(64 - bits + Self.normalization)
    }

    /// Begins a new file: what was taken of the current chunk is forgotten.
    public mutating func reset() {
        length = 0
        hash = 0
    }

    /// Goes on with the current chunk.
    ///
    /// - Parameter bytes: What follows the bytes of the calls before, of any length.
    /// - Returns: How many of `bytes` belong to the current chunk if it ends among them (the next call begins a new chunk
    ///   with the byte after), or `nil` if all of them do and the chunk goes on.
    public mutating func cut(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let cut =
            switch parameters.kind {
            case .fixed: bytes.count >= parameters.maximum - length ? parameters.maximum - length : nil
            case .gear64: gearCut(bytes)
            }
        if cut != nil { reset() } else if parameters.kind == .fixed { length += bytes.count }
        return cut
    }

    private mutating func gearCut(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let skipped = max(0, min(parameters.minimum - GearScan.window - length, bytes.count))
        length += skipped
        let words = table.words
        return words.withUnsafeBufferPointer { words in
            var rest = UnsafeRawBufferPointer(rebasing: bytes[skipped...])
            // No hash is below 0: this only fills the window, so that the hash at the minimum covers 64 bytes.
            let isCut =
                scan(&rest, upTo: parameters.minimum - 1, below: 0, words)
                || scan(&rest, upTo: parameters.average - 1, below: lowThreshold, words)
                || scan(&rest, upTo: parameters.maximum - 1, below: highThreshold, words)
            if isCut { return bytes.count - rest.count }
            // What is left begins with the last byte of a chunk of the maximum length, which ends whatever its hash.
            return rest.isEmpty ? nil : bytes.count - rest.count + 1
        }
    }

    /// Takes bytes from `rest` up to and including the first whose hash is below `threshold`, but only until the chunk has
    /// `limit` bytes.
    private mutating func scan(
        _ rest: inout UnsafeRawBufferPointer,
        upTo limit: Int,
        below threshold: UInt64,
        _ words: UnsafeBufferPointer<UInt64>
    ) -> Bool {
        let count = min(limit - length, rest.count)
        guard count > 0, let start = rest.baseAddress, let words = words.baseAddress else { return false }
        let bytes = start.assumingMemoryBound(to: UInt8.self)
        let hit = GearScan.firstBelow(threshold, in: bytes, count: count, table: words, hash: &hash)
        let taken = hit ?? count
        length += taken
        rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
        return hit != nil
    }
}
