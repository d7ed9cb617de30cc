public import HawserFormat
import Synchronization

/// Objects as files below a folder: a local drive, or a file server that is mounted (NFS, SMB).
///
/// An object's file is its key's path; files have mode 0600, folders 0700. `tmp/` holds files in work; what killed runs
/// left there goes with the first `put` a day later.
///
/// **Durability.** `put` writes a temporary file, syncs it, gives it its name with `link(2)`, which does not replace,
/// and syncs the folder (and the parent of a folder that is new to this process). A process killed or a computer
/// stopped at any point leaves nothing, a file in `tmp/`, or the whole object. It can't be switched off. Puts may run
/// side by side, and the journal of the file system then commits several at once; where long objects go past the page cache
/// they are written one after the other.
///
/// **What is there already.** The bytes of an existing file are compared with those to be stored, so that what a failing
/// drive left (a file that is too short, or zeros) never counts as stored: that throws `damaged`, or `conflict` for
/// a key that does not name a hash, and the file stays.
///
/// **Network file systems.** When the answer to `link` is lost, the repeated request says that the name exists; as the
/// temporary file and the object are then one file, this is told apart. Where there are no hard links, the name is given
/// by a rename under a lock in `tmp/`; if two *machines* race there and the file system's locks are local, both are
/// told that they created the object, and one of the two whole objects remains.
///
/// **What else lies there.** Files whose paths are not keys are never touched. Symbolic links below the root are not
/// followed: as a file they are skipped by `list`, in place of a folder they are an error.
///
/// The folder is held open: when a drive is unmounted meanwhile, nothing is written into the empty mount point.
/// Calls block on `executor`'s threads; a cancelled caller goes on at once, and the thread stops at its next step.
public final class FolderStore: ObjectStore {
    /// The root as it was given.
    public let path: String

    let root: Descriptor
    let executor: BlockingExecutor
    let state: Mutex<State>
    let directWriter = Mutex(DirectWriter())

    struct State {
        var placement: Placement
        /// Folders whose own name is known to be durable.
        var durableFolders: Set<String> = []
        /// Whether what killed runs left has been looked for.
        var isTidied = false
    }

    enum Placement {
        /// Can transition to: lockedRename, when the file system has no hard links.
        case link
        case lockedRename
    }

    init(path: String, root: consuming Descriptor, executor: BlockingExecutor, placement: Placement) {
        self.path = path
        self.root = root
        self.executor = executor
        state = Mutex(State(placement: placement))
    }

    /// Opens the folder at `path`.
    ///
    /// Throws `notFound` when it is not there, unless `createIfMissing`: then it and its missing parents are made.
    public static func open(
        _ path: String,
        createIfMissing: Bool = false,
        executor: BlockingExecutor = .shared
    ) async throws -> FolderStore {
        try await open(path, createIfMissing: createIfMissing, executor: executor, placement: .link)
    }

    static func open(
        _ path: String,
        createIfMissing: Bool,
        executor: BlockingExecutor,
        placement: Placement
    ) async throws -> FolderStore {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw HawserError(.invalidArgument, "This is not the path of a folder.", place: path)
        }
        return try await executor.runAbandonable { _ in
            do {
                if createIfMissing { try makeRoot(path) }
                return FolderStore(path: path, root: try .root(path), executor: executor, placement: placement)
            } catch let error as SystemError {
                throw error.storageError(place: path)
            }
        }
    }

    private static func makeRoot(_ path: String) throws(SystemError) {
        do {
            _ = try Descriptor.root(path)
            return
        } catch {
            guard error.isNotFound else { throw error }
        }
        var components = path.split(separator: "/").map(String.init)
        guard let name = components.popLast() else { return }
        let joined = components.joined(separator: "/")
        let parent = path.hasPrefix("/") ? "/" + joined : (joined.isEmpty ? "." : joined)
        try makeRoot(parent)
        let folder = try Descriptor.root(parent)
        do {
            try folder.makeFolder(name)
        } catch {
            if !error.exists { throw error }
        }
        try folder.synchronizeFolder()
    }

    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        guard bytes.count <= maximumObjectLength else {
            throw HawserError(.invalidArgument, "The object is longer than any may be.", place: key.path)
        }
        return try await perform(place: key.path) { store, abandonment in
            try store.putNow(key, bytes, abandonment)
        }
    }

    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        try await perform(place: key.path) { store, abandonment in
            try store.getNow(key, range, abandonment)
        }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await perform(place: key.path) { store, _ in
            try store.headNow(key)
        }
    }

    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await perform(place: prefix) { store, abandonment in
            try store.listNow(prefix: prefix, after: after, limit: limit, abandonment)
        }
    }

    public func delete(_ keys: [ObjectKey]) async throws {
        try await perform(place: "") { store, abandonment in
            try store.deleteNow(keys, abandonment)
        }
    }

    func perform<Result: Sendable>(
        place: String,
        _ body: @escaping @Sendable (FolderStore, Abandonment) throws -> Result
    ) async throws -> Result {
        try await executor.runAbandonable { abandonment in
            do {
                return try body(self, abandonment)
            } catch let error as SystemError {
                throw error.storageError(place: self.absolute(place))
            }
        }
    }

    func absolute(_ place: String) -> String {
        path.hasSuffix("/") || place.isEmpty ? path + place : path + "/" + place
    }
}
