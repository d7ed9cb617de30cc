import Hawser
import Synchronization

/// A source of one's own: texts that lie in memory, below `/notes`.
struct NotesSource: BackupSource {
    var notes: [String: [UInt8]]
    /// Called before each read; may wait.
    var beforeRead: @Sendable () async throws -> Void = {}

    var paths: [[UInt8]] { [Array("/notes".utf8)] }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        let folder = EntryPath.root.appending("notes".utf8)
        for path in [EntryPath.root, folder] {
            var entry = Entry(path: path, kind: .directory)
            entry.mode = 0o755
            try await visit(.entry(entry))
        }
        for name in notes.keys.sorted() {
            try await visit(.entry(entry(folder.appending(name.utf8))))
        }
    }

    func open(_ entry: Entry) async throws -> any SourceFile {
        Note(entry: self.entry(entry.path), bytes: bytes(entry.path), beforeRead: beforeRead)
    }

    private func entry(_ path: EntryPath) -> Entry {
        var entry = Entry(path: path, kind: .file)
        entry.mode = 0o600
        entry.size = UInt64(bytes(path).count)
        entry.modified = Timestamp(seconds: 1_000_000_000)
        return entry
    }

    private func bytes(_ path: EntryPath) -> [UInt8] {
        notes[String(decoding: path.name, as: UTF8.self)] ?? []
    }
}

private final class Note: SourceFile {
    private let entry: Entry
    private let bytes: [UInt8]
    private let beforeRead: @Sendable () async throws -> Void

    init(entry: Entry, bytes: [UInt8], beforeRead: @escaping @Sendable () async throws -> Void) {
        self.entry = entry
        self.bytes = bytes
        self.beforeRead = beforeRead
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int {
        try await beforeRead()
        let rest = bytes.dropFirst(Int(offset)).prefix(buffer.count)
        buffer.copyBytes(from: rest)
        return rest.count
    }

    func status() async throws -> Entry { entry }

    func close() {}
}
