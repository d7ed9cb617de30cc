import HawserFormat
import HawserMovers
import Synchronization

/// A source that ends the backup when so many bytes have been read.
final class Interrupted: BackupSource {
    struct Interruption: Error {}

    private let base: GeneratedSource
    private let left: Mutex<Int64>

    init(_ base: GeneratedSource, after bytes: UInt64) {
        self.base = base
        left = Mutex(Int64(bytes))
    }

    var paths: [[UInt8]] { base.paths }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws { try await base.walk(visit) }

    func open(_ entry: Entry) async throws -> any SourceFile { File(self, try await base.open(entry)) }

    private final class File: SourceFile {
        private let source: Interrupted
        private let base: any SourceFile

        init(_ source: Interrupted, _ base: any SourceFile) {
            self.source = source
            self.base = base
        }

        var mayHaveHoles: Bool { base.mayHaveHoles }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int {
            let count = try await base.read(into: buffer, at: offset)
            let isOver = source.left.withLock { left in
                left -= Int64(count)
                return left < 0
            }
            if isOver { throw Interruption() }
            return count
        }

        func nextData(from offset: UInt64) async throws -> Range<UInt64>? { try await base.nextData(from: offset) }
        func status() async throws -> Entry { try await base.status() }
        func isUnchanged(since entry: Entry) async throws -> Bool { try await base.isUnchanged(since: entry) }
        func close() { base.close() }
    }
}
