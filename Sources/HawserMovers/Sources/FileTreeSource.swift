import CHawser
import Glibc
public import HawserFormat
import Synchronization

/// Files and directories of this machine, with everything below them.
///
/// Symbolic links are stored, never followed, except those in the directories that lead to a given path: these are stored as the directories
/// they point to. Directories that lead to a path are entries too, with their own metadata.
public final class FileTreeSource: BackupSource {
    public struct Options: Sendable {
        public var excludes: ExcludeRules
        /// Mount points become empty directories, unless they are among the given paths.
        public var staysOnFileSystem: Bool

        public init(excludes: ExcludeRules = ExcludeRules(), staysOnFileSystem: Bool = false) {
            self.excludes = excludes
            self.staysOnFileSystem = staysOnFileSystem
        }
    }

    let options: Options
    let roots: SourceRoots
    let accounts = AccountNames()
    let links = LinkGroups()
    // Together with the walk's own descriptors well below the usual limit of 1,024.
    let cache = HandleCache<DirectoryHandle>(capacity: 256)
    private let user = geteuid()

    /// Relative paths count from the current directory; `.`, `..` and needless slashes are removed by the text alone. What lies below
    /// another of the paths is backed up once.
    /// - Throws: `HawserError`: `notFound` or `accessDenied` for a path that can't be found, `invalidArgument` for none at all.
    public init(paths: [[UInt8]], options: Options = Options()) throws {
        self.options = options
        roots = try SourceRoots(paths, currentDirectory: SourceRoots.currentDirectory())
        for path in roots.paths { try check(path) }
    }

    public convenience init(paths: [String], options: Options = Options()) throws {
        try self.init(paths: paths.map { Array($0.utf8) }, options: options)
    }

    public var paths: [[UInt8]] { roots.paths.map(\.absoluteBytes) }

    public func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        try await walk(pace: ScanPace(), visit)
    }

    func walk(pace: ScanPace, _ visit: (SourceItem) async throws -> Void) async throws {
        try await TreeWalk(self, pace: pace).run(visit)
    }

    public func complete(_ entry: Entry) async throws -> Entry {
        var entry = entry
        do throws(CallFailure) {
            let directory = try directory(at: entry.path.parent ?? .root)
            try withNullTerminated(entry.path.name) { name throws(CallFailure) in
                try complete(&entry, name, in: directory.descriptor)
            }
        } catch {
            throw error.error(at: entry.path)
        }
        return entry
    }

    private func complete(_ entry: inout Entry, _ name: UnsafePointer<CChar>, in directory: Int32) throws(CallFailure) {
        switch entry.kind {
        case .file, .directory:
            // With the descriptor also the flags can be asked for that statx doesn't tell.
            let name = entry.path.isRoot ? FileCalls.rootName : name
            var options = entry.kind == .directory ? HAWSER_OPEN_DIRECTORY.rawValue : 0
            if mayKeepAccessTime(entry) { options |= HAWSER_OPEN_NO_ATIME.rawValue }
            if roots.names(leadingOnFrom: entry.path) != nil { options |= HAWSER_OPEN_FOLLOW.rawValue }
            if let file = try? FileCalls.open(name, in: directory, options) {
                defer { close(file) }
                entry.attributes = try AttributePlace.file(file).attributes()
                entry.inodeFlags = try Self.inodeFlags(of: file, FileCalls.status(of: file))
            } else {
                entry.attributes = try AttributePlace.name(name, in: directory).attributes()
                entry.inodeFlags = try Self.inodeFlags(of: -1, FileCalls.status(name, in: directory))
            }
        case .symlink:
            entry.linkTarget = try FileCalls.linkTarget(name, in: directory)
            entry.attributes = try AttributePlace.name(name, in: directory).attributes()
        default:
            entry.attributes = try AttributePlace.name(name, in: directory).attributes()
        }
    }

    public func open(_ entry: Entry) async throws -> any SourceFile {
        do throws(CallFailure) {
            let (file, status) = try openFile(entry)
            let hasHole = FileCalls.hasHole(file, before: status.size)
            return TreeFile(file, path: entry.path, mayHaveHoles: hasHole, source: self)
        } catch {
            throw error.error(at: entry.path)
        }
    }

    public func read(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) async throws -> Int? {
        do throws(CallFailure) {
            return try readWhole(&entry, into: buffer)
        } catch {
            throw error.error(at: entry.path)
        }
    }

    private func readWhole(_ entry: inout Entry, into buffer: UnsafeMutableRawBufferPointer) throws(CallFailure) -> Int?
    {
        let (file, status) = try openFile(entry)
        defer { close(file) }
        guard status.size <= UInt64(buffer.count) else { return nil }
        // The call is spared for nearly all small files, which have no holes.
        if status.hasFewBlocks, FileCalls.hasHole(file, before: status.size) { return nil }
        // Asking for what the status promises spares the call that finds the end; the pseudo files of the kernel promise nothing.
        let wanted = status.size > 0 ? Int(status.size) : buffer.count
        var fresh = try completeEntry(of: file, status, at: entry.path)
        let count = try FileCalls.read(file, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: 0)
        // A pseudo file of unknown length, or one that grew: there can be more.
        if status.size == 0, count > 0, count == buffer.count { return nil }
        fresh.changedWhileRead = try !FileCalls.status(of: file).isUnchanged(since: status)
        fresh.size = UInt64(count)
        entry = fresh
        return count
    }

    /// Everything about an open regular file.
    func completeEntry(of file: Int32, _ status: FileStatus, at path: EntryPath) throws(CallFailure) -> Entry {
        var entry = status.entry(at: path, kind: .file, accounts: accounts, links: links)
        entry.attributes = try AttributePlace.file(file).attributes()
        entry.inodeFlags = Self.inodeFlags(of: file, status)
        return entry
    }

    private static func inodeFlags(of file: Int32, _ status: FileStatus) -> UInt32? {
        var flags: UInt32 = 0
        if file < 0 || hawser_inode_flags(file, &flags) != 0 { flags = status.flags }
        let kept = flags & InodeFlags.kept
        return kept == 0 ? nil : kept
    }

    private func openFile(_ entry: Entry) throws(CallFailure) -> (Int32, FileStatus) {
        let directory = try directory(at: entry.path.parent ?? .root)
        let file = try retryingWithoutCache { () throws(CallFailure) in
            try withNullTerminated(entry.path.name) { name throws(CallFailure) in
                try FileCalls.open(
                    name,
                    in: directory.descriptor,
                    mayKeepAccessTime(entry) ? HAWSER_OPEN_NO_ATIME.rawValue : 0
                )
            }
        }
        do throws(CallFailure) {
            let status = try FileCalls.status(of: file)
            // Opened without blocking, but a FIFO or device must not be read from.
            guard status.kind == .file else { throw CallFailure(code: ENXIO) }
            return (file, status)
        } catch {
            close(file)
            throw error
        }
    }

    /// Others may not ask for it; the call would be made twice.
    private func mayKeepAccessTime(_ entry: Entry) -> Bool { user == 0 || user == entry.userID }

    private func check(_ path: EntryPath) throws {
        do throws(CallFailure) {
            if path.isRoot { return }
            let parent = try directory(at: path.parent ?? .root)
            _ = try withNullTerminated(path.name) { name throws(CallFailure) in
                try FileCalls.status(name, in: parent.descriptor)
            }
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR:
                throw HawserError(.notFound, "This path does not exist.", place: path.description, cause: error)
            default: throw error.error(at: path)
            }
        }
    }
}
