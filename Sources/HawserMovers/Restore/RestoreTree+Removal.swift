import CHawser
import Glibc
import HawserFormat

extension RestoreTree {
    /// Goes through the names in a directory, without `.` and `..`, in no order, until `body` says `false`.
    func forEachName(in directory: Int32, _ path: EntryPath, _ body: (UnsafePointer<CChar>) throws -> Bool) throws {
        // A descriptor of its own, because the position in the list belongs to it.
        let descriptor = hawser_restore_open(directory, ".", O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0, let stream = fdopendir(descriptor) else {
            let code = errno
            if descriptor >= 0 { close(descriptor) }
            throw HawserError.restore("list the directory", path, errno: code)
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let item = readdir(stream) else {
                if errno != 0 { throw HawserError.restore("list the directory", path, errno: errno) }
                return
            }
            guard let field = MemoryLayout<dirent>.offset(of: \.d_name) else { return }
            let name = UnsafeRawPointer(item).advanced(by: field).assumingMemoryBound(to: CChar.self)
            if strcmp(name, ".") == 0 || strcmp(name, "..") == 0 { continue }
            if try !body(name) { return }
        }
    }

    func isEmptyDirectory(_ name: UnsafePointer<CChar>, in parent: RestoreDirectory) -> Bool {
        let descriptor = hawser_restore_open(parent.descriptor, name, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var isEmpty = true
        do {
            try forEachName(in: descriptor, .root) { _ in
                isEmpty = false
                return false
            }
        } catch { return false }
        return isEmpty
    }

    /// Removes an entry and everything below it. Stops at the first failure.
    ///
    /// Never follows a symlink and never enters another mount. Memory and descriptors are bounded at any depth: of
    /// each level some names are known, and only the deepest levels are open; going up, `..` must be the directory
    /// that it was on the way down.
    func removeTree(_ name: UnsafePointer<CChar>, in parent: Int32, _ path: EntryPath) throws {
        if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
        guard RestoreStatus(in: parent, name)?.kind == .directory else {
            throw replacementFailure("remove it", errno: errno, in: parent, name, path)
        }
        var removal = try TreeRemoval(self, path, first: Self.openForRemoval(name, in: parent, path))
        try removal.run()
        if unlinkat(parent, name, AT_REMOVEDIR) != 0, errno != ENOENT {
            throw replacementFailure("remove the directory", errno: errno, in: parent, name, path)
        }
    }

    fileprivate static func openForRemoval(
        _ name: UnsafePointer<CChar>,
        in parent: Int32,
        _ path: EntryPath
    ) throws -> Int32 {
        var descriptor = hawser_restore_open_same_mount(parent, name)
        if descriptor < 0, errno == ENOSYS {
            // Without openat2, the device number tells other file systems, though not bind mounts of the same one.
            descriptor = hawser_restore_open(parent, name, O_RDONLY | O_DIRECTORY, 0)
            if descriptor >= 0,
                RestoreStatus(descriptor: descriptor)?.identity.device
                    != RestoreStatus(descriptor: parent)?.identity.device
            {
                close(descriptor)
                descriptor = -1
                errno = EXDEV
            }
        }
        if descriptor >= 0 { return descriptor }
        if errno == EXDEV {
            throw HawserError.restoreConflict("Another file system is mounted here: it is not removed.", path)
        }
        throw HawserError.restore("open the directory to remove it", path, errno: errno)
    }
}

/// Empties a directory, level by level.
private struct TreeRemoval: ~Copyable {
    private struct Level {
        /// -1 while it is closed.
        var descriptor: Int32
        var identity: FileIdentity
        /// Of subdirectories that are still to be emptied; the last one is next.
        var names: [[UInt8]] = []
    }

    /// Levels that stay open: few beside the 1,024 descriptors that a process has by default.
    private static let openLimit = 32
    /// Subdirectories that are read in advance, a level.
    private static let nameLimit = 256

    private let tree: RestoreTree
    private let path: EntryPath
    private var levels: [Level] = []

    init(_ tree: RestoreTree, _ path: EntryPath, first: Int32) throws {
        self.tree = tree
        self.path = path
        try push(first)
    }

    deinit {
        for level in levels where level.descriptor >= 0 { close(level.descriptor) }
    }

    mutating func run() throws {
        while let top = levels.last {
            if let name = top.names.last {
                try name[...].withCString { try descend($0, top.descriptor) }
            } else {
                let names = try scan(top.descriptor)
                if !names.isEmpty {
                    levels[levels.count - 1].names = names
                } else {
                    try ascend()
                }
            }
        }
    }

    /// Removes an empty subdirectory, or opens it to be emptied.
    private mutating func descend(_ name: UnsafePointer<CChar>, _ directory: Int32) throws {
        if unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT {
            levels[levels.count - 1].names.removeLast()
            return
        }
        guard errno == ENOTEMPTY || errno == EEXIST else {
            throw tree.replacementFailure("remove the directory", errno: errno, in: directory, name, path)
        }
        try push(RestoreTree.openForRemoval(name, in: directory, path))
        let hidden = levels.count - 1 - Self.openLimit
        if hidden >= 0, levels[hidden].descriptor >= 0 {
            close(levels[hidden].descriptor)
            levels[hidden].descriptor = -1
        }
    }

    private mutating func ascend() throws {
        guard let done = levels.popLast() else { return }
        defer { close(done.descriptor) }
        guard let above = levels.last, above.descriptor < 0 else { return }
        let descriptor = hawser_restore_open(done.descriptor, "..", O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0, RestoreStatus(descriptor: descriptor)?.identity == above.identity else {
            if descriptor >= 0 { close(descriptor) }
            throw HawserError.restoreConflict("Another program moved directories while they were removed.", path)
        }
        levels[levels.count - 1].descriptor = descriptor
    }

    private mutating func push(_ descriptor: Int32) throws {
        guard let status = RestoreStatus(descriptor: descriptor) else {
            close(descriptor)
            throw HawserError.restore("look at the directory", path, errno: errno)
        }
        levels.append(Level(descriptor: descriptor, identity: status.identity))
    }

    /// Removes what isn't a directory and gives some subdirectories.
    private func scan(_ directory: Int32) throws -> [[UInt8]] {
        var names: [[UInt8]] = []
        try tree.forEachName(in: directory, path) { name in
            if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return true }
            guard RestoreStatus(in: directory, name)?.kind == .directory else {
                throw tree.replacementFailure("remove it", errno: errno, in: directory, name, path)
            }
            names.append(Array(UnsafeRawBufferPointer(start: name, count: strlen(name))))
            return names.count < Self.nameLimit
        }
        return names
    }
}
