public import HawserFormat

/// Where a backup's entries and bytes come from: a file tree, a stream, an image, or a source of your own.
///
/// A source describes one state and serves one backup. Its methods may block: the mover calls all of them on Hawser's own I/O
/// threads (as task executor preference, which child tasks inherit), `walk` on one of them and the others from several at once.
public protocol BackupSource: Sendable {
    /// The absolute paths that are backed up, as the snapshot's `paths` and for finding the parent. Not empty.
    var paths: [[UInt8]] { get }

    /// How the content is best cut into chunks.
    var contentForm: ContentForm { get }

    /// Whether a part of it is worth nothing, as of a dump: then content that can't be read is no problem among others but ends the
    /// backup, and no snapshot is made.
    var isAllOrNothing: Bool { get }
    /// Whether it can't be walked a second time, which a prune that deletes packs of a running backup asks for.
    var isReadOnce: Bool { get }

    /// Gives every entry in ascending order of `EntryPath`, from the virtual root over the ancestors of `paths` to everything below
    /// them; each path at most once, an entry's parent always before it. What can't be read is a problem, and the walk goes on.
    ///
    /// An entry has everything except `content`, and what costs further system calls per entry: `linkTarget`, `attributes`
    /// and `inodeFlags` may be missing until `complete` adds them. Nothing of these changes without `changed` changing, so an entry
    /// that is otherwise the same as its parent snapshot's can take them from there. `linkGroup` must come from this walk, because the
    /// numbers hold within one walk only.
    ///
    /// `visit` may suspend for as long as it likes: that is the back-pressure. What it throws ends the walk and is thrown on.
    /// - Throws: `CancellationError`, or `HawserError` when nothing can be read.
    func walk(_ visit: (SourceItem) async throws -> Void) async throws

    /// The entry with what the walk left out. For what is not read through `open` or `read`: both give it by themselves.
    /// - Throws: `HawserError`: the entry is left out and told as a problem; a directory stays as the walk gave it.
    func complete(_ entry: Entry) async throws -> Entry

    /// Opens the content of a regular file.
    ///
    /// By now the file may be another one than the walk saw: store its `status()`, taken before the first read, not `entry`.
    /// - Throws: `HawserError`: `notFound` when it vanished, `accessDenied`, `fileSystem` when it is no regular file any more.
    func open(_ entry: Entry) async throws -> any SourceFile

    /// Reads a small file as a whole in as few calls as possible: the same as `open`, `status`, `read` and `isUnchanged`.
    ///
    /// `entry` becomes what has to be stored: complete, as it was right before reading, with the `size` that was read and with
    /// `changedWhileRead`.
    /// - Returns: the number of bytes, or `nil` (and `entry` as it was) when the file is larger than `buffer` or has holes.
    func read(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int?
}

/// What a source's content looks like; decides the chunker.
public enum ContentForm: Hashable, Sendable {
    /// Files and streams: cut by their content.
    case files
    /// Disk images: blocks change in place, so they are cut at fixed lengths.
    case image
}

public enum SourceItem: Sendable {
    case entry(Entry)
    /// This entry, or for a directory what is in it, is missing from the backup.
    case problem(EntryPath, HawserError)
}

/// The open content of one regular file or stream. Used by one task at a time, and closed by it.
public protocol SourceFile: AnyObject {
    /// Whether asking `nextData` can save anything. Files without holes answer `false` and are just read.
    var mayHaveHoles: Bool { get }

    /// Fills `buffer` unless the end comes: fewer bytes mean that the end is reached. Streams take ascending offsets without gaps only.
    /// - Returns: 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int

    /// The next stretch at or after `offset` that can hold something other than zeros; `nil` when there is none up to the end.
    func nextData(from offset: UInt64) async throws -> Range<UInt64>?

    /// The complete entry as it is now, without `content`.
    func status() async throws -> Entry

    /// Whether size, times and inode are still those of `entry`, which `status` gave before the first read.
    func isUnchanged(since entry: Entry) async throws -> Bool

    /// Gives everything back. Calling it again does nothing.
    func close()
}

extension BackupSource {
    public var contentForm: ContentForm { .files }

    public var isAllOrNothing: Bool { false }
    public var isReadOnce: Bool { false }

    public func complete(_ entry: Entry) async throws -> Entry { entry }

    public func read(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int? {
        let file = try await open(entry)
        defer { file.close() }
        var fresh = try await file.status()
        guard fresh.size <= UInt64(buffer.count), !file.mayHaveHoles else { return nil }
        let count = try await file.read(into: buffer, at: 0)
        if try await !file.isUnchanged(since: fresh) { fresh.changedWhileRead = true }
        fresh.size = UInt64(count)
        entry = fresh
        return count
    }
}

extension HawserError {
    /// As the end of a backup: there `accessDenied` speaks of the repository.
    var ofSource: HawserError {
        var error = self
        if code == .accessDenied { error.code = .fileSystem }
        return error
    }
}

extension SourceFile {
    public var mayHaveHoles: Bool { false }

    public func nextData(from offset: UInt64) async throws -> Range<UInt64>? {
        offset < .max ? offset..<UInt64.max : nil
    }

    public func isUnchanged(since entry: Entry) async throws -> Bool {
        let now = try await status()
        return now.size == entry.size && now.modified == entry.modified && now.changed == entry.changed
            && now.inode == entry.inode
    }
}
