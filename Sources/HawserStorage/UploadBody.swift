package import NIOCore

/// The bytes of an upload, piece by piece as the connection takes them: so the array is never there twice.
package struct UploadBody: AsyncSequence, Sendable {
    // Large enough for the hop from task to event loop not to count, small enough to be progress on a slow link.
    private static let pieceLength = 128 << 10

    private let bytes: [UInt8]
    private let note: ProgressWatch.Note

    package init(_ bytes: [UInt8], _ note: ProgressWatch.Note) {
        self.bytes = bytes
        self.note = note
    }

    package func makeAsyncIterator() -> Iterator { Iterator(bytes: bytes, note: note) }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let bytes: [UInt8]
        fileprivate let note: ProgressWatch.Note
        private var offset = 0

        fileprivate init(bytes: [UInt8], note: ProgressWatch.Note) {
            self.bytes = bytes
            self.note = note
        }

        package mutating func next() async -> ByteBuffer? {
            note()
            guard offset < bytes.count else { return nil }
            let end = Swift.min(offset + UploadBody.pieceLength, bytes.count)
            defer { offset = end }
            return ByteBuffer(bytes: bytes[offset..<end])
        }
    }
}
