import CHawser
import Glibc
public import HawserFormat
import Synchronization

/// Writes the entries of a snapshot below a target directory.
///
/// Every call may block and may come from any thread, several at once. The order that a restore keeps:
/// 1. entries in the order of their paths: `makeDirectory`, `makeSymlink`, `makeSpecial`, and for files `writeFile`
///    or `makeFile`, whose extents are then written in any order; `RestoreLinks` says which names are further hard
///    links, `RestoreDeletion` removes what is not in the snapshot;
/// 2. when every file is finished, `makeHardLink` for those names;
/// 3. `finishDirectories`.
///
/// What it promises:
/// - Nothing outside the target is touched, whatever the snapshot says and whoever changes the target meanwhile:
///   every call is relative to the descriptor of a directory that was opened component by component, without
///   following symlinks (the path of the target itself is the caller's and is followed).
/// - An existing file is never written into. Its successor gets a temporary name or none, and takes the place in one
///   step when it is complete; other hard links of the old file keep the old content.
/// - No file that looks complete is incomplete, also after a crash. `makeFile` gives a file its name at the end.
///   `writeFile` creates new files under their name, with mode 01600, which stays until the content and all other
///   metadata are there; a file with this mode that belongs to the user is taken for unfinished by every policy.
///   (A temporary name and its rename would cost 9 µs of 55.)
/// - Files are 0600 and directories 0700 until their content is there. Existing directories keep their mode.
/// - Failures to set metadata are reported or counted and never stop the restore. A thrown `storageFull` must end
///   it; every other error concerns the one entry.
public final class RestoreTree: Sendable {
    public let options: RestoreOptions
    /// Whether the target directory was created by this restore.
    public let targetIsNew: Bool

    let root: RestoreDirectory?
    let cache: HandleCache<RestoreDirectory>
    let problems: RestoreProblems
    let accounts: RestoreAccounts
    let journal: Mutex<RestoreSpool>

    /// Opens the target, which is created with mode 0700 when it is missing (its parent must be there).
    /// - Parameter report: gets the problems that don't stop the restore; called from any thread.
    /// - Throws: `fileSystem`, `accessDenied`, `storageFull`.
    public init(
        target: [UInt8],
        options: RestoreOptions = RestoreOptions(),
        report: @escaping @Sendable (EntryPath, HawserError) -> Void
    ) throws {
        self.options = options
        cache = HandleCache(capacity: options.openDirectories)
        problems = RestoreProblems(report)
        accounts = RestoreAccounts(options.ownership)
        (root, targetIsNew) = try Self.openTarget(target, dryRun: options.dryRun)
        journal = Mutex(RestoreSpool(directory: root?.descriptor ?? -1))
    }

    /// What could not be restored for want of privileges or support, so far.
    public var warnings: [RestoreWarning] { problems.warnings }

    /// Waits until everything is on the disk.
    public func synchronize() throws {
        guard let root, hawser_restore_synchronize(root.descriptor) != 0 else { return }
        throw HawserError.restore("write everything to the disk", .root, errno: errno)
    }

    private static func openTarget(_ target: [UInt8], dryRun: Bool) throws -> (RestoreDirectory?, Bool) {
        let place = String(decoding: target, as: UTF8.self)
        guard !target.isEmpty, !target.contains(0) else {
            throw HawserError(.invalidArgument, "The target of the restore is not a path.", place: place)
        }
        return try target[...].withCString { path in
            let isNew = !dryRun && mkdir(path, 0o700) == 0
            let whyNotNew = errno
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if descriptor >= 0 { return (RestoreDirectory(descriptor: descriptor), isNew) }
            if dryRun, errno == ENOENT { return (nil, true) }
            var error =
                errno == ENOENT
                ? HawserError.restore("create the target directory", .root, errno: whyNotNew)
                : HawserError.restore("open the target directory", .root, errno: errno)
            error.place = place
            throw error
        }
    }

    /// A name that nothing else uses, for files until they take their place.
    static func temporaryName() -> String {
        temporaryPrefix + String(UInt64.random(in: .min ... .max), radix: 16)
    }

    /// Of this process: `RestoreDeletion` must not remove what other threads are about to rename.
    static let temporaryPrefix = ".hawser-\(getpid())-"
}

extension RestoreTree {
    /// The directory at `path`, opened without following symlinks.
    /// - Parameter create: makes missing directories, with mode 0700, which they keep.
    /// - Returns: `nil` if it isn't there and must not be created.
    func directory(_ path: EntryPath, create: Bool) throws -> RestoreDirectory? {
        guard let root else { return nil }
        if path.isRoot { return root }
        if let handle = cache.handle(for: path) { return handle }
        var ancestor = path
        var handle = root
        while let parent = ancestor.parent, !parent.isRoot {
            ancestor = parent
            if let cached = cache.handle(for: parent) {
                handle = cached
                break
            }
        }
        // The loop ended at a cached directory, or at the first component.
        let start = handle === root ? 0 : ancestor.bytes.count + 1
        for component in path.bytes[start...].split(separator: UInt8(ascii: "/")) {
            guard let next = try component.withCString({ try openDirectory($0, in: handle, create: create, path) })
            else { return nil }
            handle = next
        }
        cache.insert(handle, for: path)
        return handle
    }

    /// The directory that `path` is to lie in.
    func parent(of path: EntryPath, create: Bool) throws -> RestoreDirectory? {
        guard let parent = path.parent else {
            throw HawserError(.invalidArgument, "The root can only be a directory.", place: path.description)
        }
        return try directory(parent, create: create && !options.dryRun)
    }

    /// As `parent(of:create:)` for what is about to be written.
    func existingParent(of path: EntryPath) throws -> RestoreDirectory {
        if let handle = try parent(of: path, create: true) { return handle }
        throw HawserError(.notFound, "The directory of this entry is not there.", place: path.description)
    }

    private func openDirectory(
        _ name: UnsafePointer<CChar>,
        in parent: RestoreDirectory,
        create: Bool,
        _ path: EntryPath
    ) throws -> RestoreDirectory? {
        let descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_DIRECTORY, 0)
        if descriptor >= 0 { return RestoreDirectory(descriptor: descriptor) }
        switch errno {
        case ENOENT where create:
            if mkdirat(parent.descriptor, name, 0o700) != 0, errno != EEXIST {
                throw HawserError.restore("create the directory of this entry", path, errno: errno)
            }
            let descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_DIRECTORY, 0)
            if descriptor >= 0 { return RestoreDirectory(descriptor: descriptor) }
            throw HawserError.restore("open the directory of this entry", path, errno: errno)
        case ENOENT:
            return nil
        case ELOOP, ENOTDIR:
            // A dry run has not replaced it, as the restore would have.
            if options.dryRun { return nil }
            throw HawserError.restoreConflict(
                "A symbolic link or file stands in the way to this entry and is not followed.",
                path
            )
        default:
            throw HawserError.restore("open the directory of this entry", path, errno: errno)
        }
    }
}
