#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Cuts a stream of bytes at its newlines. Pure.
struct LineSplitter {
    /// Bytes.
    private let longest: Int
    private var rest = Data()

    init(longest: Int) {
        self.longest = longest
    }

    /// The lines that end in `bytes`, without empty ones.
    ///
    /// - Throws: when one is too long to be meant.
    mutating func add(_ bytes: some Collection<UInt8>) throws -> [Data] {
        var lines: [Data] = []
        for piece in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0 {
                if !rest.isEmpty { lines.append(rest) }
                rest = Data()
            }
            guard rest.count + piece.element.count <= longest else {
                throw ControlFailure.garbled("event: it is too long")
            }
            rest.append(contentsOf: piece.element)
        }
        return lines
    }
}
