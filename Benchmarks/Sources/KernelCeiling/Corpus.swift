import Foundation
import Synchronization

/// All regular files of a folder, one after the other in memory.
///
/// `@unchecked Sendable`: the memory is written in `init` only, and stays until the process ends.
final class Corpus: @unchecked Sendable {
    struct Piece {
        var range: Range<Int>
        /// Whether a file begins here: the chunker begins anew.
        var beginsFile: Bool
    }

    typealias Segment = [Piece]

    /// As much as one core takes at a time.
    private static let segmentSize = 64 << 20

    let segments: [Segment]
    let byteCount: Int
    let fileCount: Int
    private let memory: UnsafeMutableRawBufferPointer

    init(folder: String) throws {
        var files: [(path: String, size: Int)] = []
        let keys: Set<URLResourceKey> = [.isRegularFileKey, .fileSizeKey]
        let walk = FileManager.default.enumerator(
            at: URL(filePath: folder).resolvingSymlinksInPath(),
            includingPropertiesForKeys: Array(keys)
        )
        for case let url as URL in walk ?? .init() {
            let values = try url.resourceValues(forKeys: keys)
            guard values.isRegularFile == true, let size = values.fileSize, size > 0 else { continue }
            files.append((url.path, size))
        }
        files.sort { $0.path < $1.path }
        fileCount = files.count
        let total = files.map(\.size).reduce(0, +)
        let needed = UInt64(total) + UInt64(total) / 4
        guard needed < ProcessInfo.processInfo.physicalMemory else { throw TooLarge(bytes: total) }

        memory = .allocate(byteCount: max(1, total), alignment: 4096)
        var segments: [Segment] = [[]]
        var used = 0
        var room = Self.segmentSize
        for file in files {
            let length = try Self.read(
                file.path,
                into: UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + file.size])
            )
            var rest = used..<used + length
            var beginsFile = true
            while !rest.isEmpty {
                if room == 0 {
                    segments.append([])
                    room = Self.segmentSize
                }
                let piece = rest.prefix(room)
                segments[segments.count - 1].append(Piece(range: piece, beginsFile: beginsFile))
                beginsFile = false
                room -= piece.count
                rest = rest.dropFirst(piece.count)
            }
            used += length
        }
        self.segments = segments
        byteCount = used
    }

    func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[range])
    }

    private static func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var length = 0
        while length < buffer.count {
            let count = Foundation.read(file, buffer.baseAddress! + length, buffer.count - length)
            guard count > 0 else { break }
            length += count
        }
        return length
    }

    struct TooLarge: Error, CustomStringConvertible {
        var bytes: Int
        var description: String {
            "\(bytes) bytes of files do not fit into this machine's memory; name a smaller folder."
        }
    }
}

/// Gives each segment once, to whichever core asks first.
final class SegmentQueue: Sendable {
    private let rest: Mutex<ArraySlice<Corpus.Segment>>

    init(_ segments: [Corpus.Segment]) {
        rest = Mutex(segments[...])
    }

    func next() -> Corpus.Segment? {
        rest.withLock { $0.popFirst() }
    }
}
