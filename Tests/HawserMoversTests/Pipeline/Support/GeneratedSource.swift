import HawserFormat
import HawserMovers
import Synchronization

/// One entry of a generated source, and what goes wrong with it.
struct GeneratedNode: Sendable {
    /// As the walk shows it.
    var entry: Entry
    var content: [Stretch] = []
    /// What the walk shows instead of the entry.
    var problem: HawserError?
    var openFailure: HawserError?
    var completionFailure: HawserError?
    /// Reading at or behind this offset fails.
    var readFailure: (offset: UInt64, error: HawserError)?
    /// What has become of the file between the walk and the first read.
    var atOpen: (entry: Entry, content: [Stretch])?
    /// What it is after the last read.
    var afterwards: Entry?

    init(_ path: String, _ kind: Entry.Kind = .file, _ content: [Stretch] = []) {
        entry = Entry(path: EntryPath(Array(path.utf8)) ?? .root, kind: kind)
        entry.mode = kind == .directory ? 0o755 : 0o640
        entry.modified = Timestamp(seconds: 1_500_000_000, nanoseconds: 1)
        entry.changed = Timestamp(seconds: 1_600_000_000, nanoseconds: 2)
        entry.inode = entry.path.bytes.reduce(7) { ($0 &* 31 &+ UInt64($1)) % 1_000_003 }
        set(content)
    }

    mutating func set(_ content: [Stretch]) {
        self.content = content
        entry.size = content.length
    }

    /// Other content, and the change time with it, as a file system does it.
    func rewritten(_ content: [Stretch], at seconds: Int64 = 1_650_000_000) -> GeneratedNode {
        var node = self
        node.set(content)
        node.entry.modified = Timestamp(seconds: seconds)
        node.entry.changed = Timestamp(seconds: seconds)
        return node
    }
}

/// A source whose entries and contents are computed. `visited` and `reading` are called before each entry of the walk
/// and each read; they may wait or throw.
final class GeneratedSource: BackupSource {
    let paths: [[UInt8]]
    let nodes: [GeneratedNode]
    private let places: [EntryPath: Int]
    var contentForm: ContentForm { form }
    let isAllOrNothing: Bool
    private let form: ContentForm
    private let visited: @Sendable (EntryPath) async throws -> Void
    private let reading: @Sendable (EntryPath, UInt64) async throws -> Void
    private let counts = Mutex<[EntryPath: UInt64]>([:])
    private let opened = Mutex<(now: Int, ever: Int)>((0, 0))

    /// - Parameter nodes: the root and ancestors are added.
    init(
        _ nodes: [GeneratedNode],
        paths: [String] = ["/data"],
        form: ContentForm = .files,
        isAllOrNothing: Bool = false,
        visited: @escaping @Sendable (EntryPath) async throws -> Void = { _ in },
        reading: @escaping @Sendable (EntryPath, UInt64) async throws -> Void = { _, _ in }
    ) {
        self.paths = paths.map { Array($0.utf8) }
        self.form = form
        self.isAllOrNothing = isAllOrNothing
        self.visited = visited
        self.reading = reading
        var all = nodes
        var known = Set(nodes.map(\.entry.path))
        for node in nodes {
            var path = node.entry.path.parent
            while let ancestor = path, known.insert(ancestor).inserted {
                all.append(GeneratedNode(ancestor.description, .directory))
                path = ancestor.parent
            }
        }
        all.sort { $0.entry.path < $1.entry.path }
        self.nodes = all
        places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.entry.path, $0) })
    }

    /// Bytes that were read, of one file or of all.
    func bytesRead(of path: String? = nil) -> UInt64 {
        counts.withLock { counts in
            path.map { counts[GeneratedNode($0).entry.path] ?? 0 } ?? counts.values.reduce(0, +)
        }
    }

    var openFiles: Int { opened.withLock { $0.now } }

    func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        for node in nodes {
            try await visited(node.entry.path)
            try Task.checkCancellation()
            if let problem = node.problem {
                try await visit(.problem(node.entry.path, problem))
            } else {
                try await visit(.entry(node.entry))
            }
        }
    }

    func complete(_ entry: Entry) async throws -> Entry {
        if let place = places[entry.path], let failure = nodes[place].completionFailure { throw failure }
        return entry
    }

    func open(_ entry: Entry) async throws -> any SourceFile {
        guard let place = places[entry.path] else { throw HawserError(.notFound, "There is no such file.") }
        if let failure = nodes[place].openFailure { throw failure }
        opened.withLock { $0 = ($0.now + 1, $0.ever + 1) }
        return GeneratedFile(self, nodes[place])
    }

    fileprivate func willRead(_ path: EntryPath, at offset: UInt64) async throws {
        try await reading(path, offset)
        try Task.checkCancellation()
    }

    fileprivate func didRead(_ path: EntryPath, _ count: Int) {
        counts.withLock { $0[path, default: 0] += UInt64(count) }
    }

    fileprivate func didClose() {
        opened.withLock { $0.now -= 1 }
    }
}

private final class GeneratedFile: SourceFile {
    private let source: GeneratedSource
    private let node: GeneratedNode
    private let entry: Entry
    private let content: [Stretch]
    private var isClosed = false

    init(_ source: GeneratedSource, _ node: GeneratedNode) {
        self.source = source
        self.node = node
        entry = node.atOpen?.entry ?? node.entry
        content = node.atOpen?.content ?? node.content
    }

    var mayHaveHoles: Bool { content.contains(where: \.isHole) }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int {
        try await source.willRead(entry.path, at: offset)
        if let failure = node.readFailure, offset + UInt64(buffer.count) > failure.offset { throw failure.error }
        let count = content.read(into: buffer, at: offset)
        source.didRead(entry.path, count)
        return count
    }

    func nextData(from offset: UInt64) async throws -> Range<UInt64>? { content.nextData(from: offset) }

    func status() async throws -> Entry { entry }

    func isUnchanged(since entry: Entry) async throws -> Bool {
        let now = node.afterwards ?? self.entry
        return now.size == entry.size && now.modified == entry.modified && now.changed == entry.changed
            && now.inode == entry.inode
    }

    func close() {
        if !isClosed { source.didClose() }
        isClosed = true
    }
}
