/// How files and images are cut into chunks; written in the repository's `config`.
public struct ChunkerParameters: Hashable, Sendable, Codable {
    public enum Kind: String, Hashable, Sendable, Codable {
        /// Content-defined: a keyed gear hash with normalised chunk lengths.
        case gear64
        /// Every chunk but the last has one length.
        case fixed
    }

    public var kind: Kind
    /// No chunk but the last of a file is shorter, bytes.
    public var minimum: Int
    /// From this length on a cut becomes 16 times as likely, bytes; chunks are a little longer on average.
    public var average: Int
    /// No chunk is longer, bytes.
    public var maximum: Int

    public init(kind: Kind, minimum: Int, average: Int, maximum: Int) {
        self.kind = kind
        self.minimum = minimum
        self.average = average
        self.maximum = maximum
    }

    /// For files and streams: content-defined, 256 KiB, 1 MiB and 4 MiB.
    public static let files = ChunkerParameters(
        kind: .gear64,
        minimum: 256 << 10,
        average: 1 << 20,
        maximum: 4 << 20
    )

    /// For disk images and block devices: chunks of `size` bytes.
    public static func fixed(_ size: Int) -> ChunkerParameters {
        ChunkerParameters(kind: .fixed, minimum: size, average: size, maximum: size)
    }

    // A shorter chunk costs more in records than it saves; the window of the hash needs 64 bytes.
    static let smallestLength = 1 << 10
    // Plain lengths have 24 bits in index records, and a chunk must fit into the memory budget.
    static let greatestLength = 8 << 20

    /// Checks values that come from outside.
    ///
    /// - Throws: `unsupported` unless 1 KiB ≤ minimum ≤ average ≤ maximum ≤ 8 MiB, with a power of two as the average
    ///   of `gear64` and three equal lengths for `fixed`.
    public func validate() throws {
        let isOrdered = Self.smallestLength <= minimum && minimum <= average && average <= maximum
        let hasKindOfLengths =
            switch kind {
            case .gear64: average > 0 && average & (average - 1) == 0
            case .fixed: minimum == maximum
            }
        guard isOrdered, maximum <= Self.greatestLength, hasKindOfLengths else {
            throw HawserError(
                .unsupported,
                "The chunker's lengths \(minimum), \(average), \(maximum) are out of range: a newer Hawser may be needed."
            )
        }
    }
}
