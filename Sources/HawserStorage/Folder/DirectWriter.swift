import HawserFormat

/// Writes large files past the page cache, through a buffer that stays in a core's cache.
///
/// Copying a pack into pages that are new to the machine costs more than all else that a prune does with it, and pushes out
/// what others have there; nobody reads it again soon. One file at a time, so that each lies in one piece on a drive that
/// turns.
struct DirectWriter: ~Copyable {
    /// Shorter files are no burden.
    static let leastLength = 1 << 20

    /// What every drive takes.
    private static let block = 4096

    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: block)

    deinit { buffer.deallocate() }

    /// Writes whole blocks from the beginning on.
    ///
    /// - Returns: how many bytes; the others, and all that the drive does not take like this, are for an ordinary write.
    func write(_ bytes: [UInt8], to file: borrowing Descriptor, _ abandonment: Abandonment) throws -> Int {
        guard file.setDirect(true) else { return 0 }
        defer { _ = file.setDirect(false) }
        var written = 0
        while bytes.count - written >= Self.block {
            try abandonment.check()
            let count = min(buffer.count, (bytes.count - written) / Self.block * Self.block)
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[written..<written + count]))
            }
            do {
                written += try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } catch {
                if error.isInvalid { break }
                throw error
            }
            if written % Self.block != 0 { break }
        }
        return written
    }
}
