import Glibc
public import HawserFormat
import Synchronization

/// One file whose content comes from a file descriptor, from a program's output, or from a sequence. It can be read once, from the
/// beginning to the end, and its size is not known before.
public final class StreamSource: BackupSource {
    /// Makes the stream when it is opened: nothing starts before.
    private let start: @Sendable (EntryPath) throws -> sending any StreamReader
    private let path: EntryPath
    private let entries = SyntheticEntries()
    private let isOpened = Mutex(false)

    private init(path: EntryPath, start: @escaping @Sendable (EntryPath) throws -> sending any StreamReader) {
        self.path = path
        self.start = start
    }

    /// Where a stream's content is kept unless something else is asked for.
    public static let defaultPath = EntryPath.root.appending("stdin".utf8)

    /// Reads an open descriptor, such as 0 for the standard input, and leaves it open.
    public convenience init(descriptor: Int32, path: EntryPath = defaultPath) {
        self.init(path: path) { DescriptorReader(descriptor, path: $0) }
    }

    /// Runs a program and reads its standard output. An exit status other than 0 is an error at the end of the content, so that
    /// half a dump never becomes a snapshot. The program gets this process's environment without `HAWSER_PASSWORD…` and `AWS_…`.
    /// - Parameter command: the program, looked up in `PATH`, and its arguments.
    /// - Throws: `HawserError` with `invalidArgument` when there is no program.
    public convenience init(command: [[UInt8]], path: EntryPath = defaultPath) throws {
        guard let program = command.first, !program.isEmpty, !command.contains(where: { $0.contains(0) }) else {
            throw HawserError(.invalidArgument, "There is no command to run.")
        }
        self.init(path: path) { try ProcessReader(command, path: $0) }
    }

    /// Reads chunks of any size.
    public convenience init<Chunks: AsyncSequence & Sendable>(
        chunks: Chunks,
        path: EntryPath = defaultPath
    ) where Chunks.Element == [UInt8] {
        self.init(path: path) { _ in SequenceReader(chunks) }
    }

    public var paths: [[UInt8]] { [path.absoluteBytes] }
    public var isAllOrNothing: Bool { true }
    public var isReadOnce: Bool { true }

    public func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        for ancestor in entries.ancestors(of: path) { try await visit(.entry(ancestor)) }
        try await visit(.entry(entries.entry(at: path, kind: .file, mode: 0o600)))
    }

    public func open(_ entry: Entry) async throws -> any SourceFile {
        let isFirst = isOpened.withLock { isOpened in
            defer { isOpened = true }
            return !isOpened
        }
        guard isFirst else {
            throw HawserError(.invalidArgument, "A stream can be read only once.", place: path.description)
        }
        return StreamFile(try start(path), entry: entries.entry(at: path, kind: .file, mode: 0o600))
    }

    /// Streams tell their size only at their end: always through `open`.
    public func read(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int? { nil }
}

/// Bytes in their order.
protocol StreamReader: AnyObject {
    /// At least one byte, or 0 at the end. An error at the end is thrown instead of that 0.
    func read(into buffer: UnsafeMutableRawBufferPointer) async throws -> Int
    /// Calling it again does nothing.
    func close()
}

final class StreamFile: SourceFile {
    private let reader: any StreamReader
    private let entry: Entry
    private var position: UInt64 = 0
    private var isAtEnd = false

    init(_ reader: any StreamReader, entry: Entry) {
        self.reader = reader
        self.entry = entry
    }

    deinit {
        reader.close()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int {
        guard offset == position else {
            throw HawserError(.invalidArgument, "A stream can only be read on.", place: entry.path.description)
        }
        var count = 0
        while count < buffer.count, !isAtEnd {
            let step = try await reader.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
            if step == 0 { isAtEnd = true }
            count += step
        }
        position += UInt64(count)
        return count
    }

    func status() async throws -> Entry { entry }

    func isUnchanged(since entry: Entry) async throws -> Bool { true }

    func close() { reader.close() }
}

final class DescriptorReader: StreamReader {
    private let descriptor: Int32
    private let path: EntryPath

    init(_ descriptor: Int32, path: EntryPath) {
        self.descriptor = descriptor
        self.path = path
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) async throws -> Int {
        try await FileCalls.read(descriptor, into: buffer, at: path)
    }

    func close() {}
}

final class SequenceReader<Chunks: AsyncSequence>: StreamReader where Chunks.Element == [UInt8] {
    private var iterator: Chunks.AsyncIterator
    private var rest: ArraySlice<UInt8> = []

    init(_ chunks: Chunks) {
        iterator = chunks.makeAsyncIterator()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) async throws -> Int {
        while rest.isEmpty {
            guard let chunk = try await iterator.next(isolation: #isolation) else { return 0 }
            rest = chunk[...]
        }
        let step = rest.prefix(buffer.count)
        buffer.copyBytes(from: step)
        rest.removeFirst(step.count)
        return step.count
    }

    func close() {}
}
