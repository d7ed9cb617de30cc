import CHawser
import HawserFormat

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the system says of a file.
struct FileStatus: Hashable {
    var isRegular: Bool
    /// Bytes.
    var length: Int
    var modified: Timestamp
    var device: UInt64
    var inode: UInt64
    var linkCount: Int

    init(_ status: stat) {
        isRegular = status.st_mode & S_IFMT == S_IFREG
        length = Int(status.st_size)
        #if canImport(Darwin)
            let time = status.st_mtimespec
        #else
            let time = status.st_mtim
        #endif
        modified = Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(clamping: time.tv_nsec))
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
        linkCount = Int(status.st_nlink)
    }

    func isSameFile(as other: FileStatus) -> Bool {
        device == other.device && inode == other.inode
    }
}

/// An open file or folder, closed when it goes out of scope. Every name is one component, and no symbolic link is
/// followed.
struct Descriptor: ~Copyable, Sendable {
    private let number: CInt

    deinit {
        _ = close(number)
    }

    // MARK: Opening

    /// The folder at a path of the user's, which may lead through symbolic links.
    static func root(_ path: String) throws(SystemError) -> Descriptor {
        Descriptor(number: try SystemError.check("open") { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
    }

    func folder(_ name: String) throws(SystemError) -> Descriptor {
        try child(name, O_RDONLY | O_DIRECTORY)
    }

    /// Does not wait for the other end when a FIFO lies there.
    func reader(_ name: String) throws(SystemError) -> Descriptor {
        try child(name, O_RDONLY | O_NONBLOCK)
    }

    func newFile(_ name: String) throws(SystemError) -> Descriptor {
        try child(name, O_WRONLY | O_CREAT | O_EXCL)
    }

    /// Waits until no other process has it.
    func lockFile(_ name: String) throws(SystemError) -> Descriptor {
        let file = try child(name, O_RDWR | O_CREAT)
        let number = file.number
        _ = try SystemError.check("flock") { flock(number, LOCK_EX) }
        return file
    }

    private func child(_ name: String, _ flags: CInt) throws(SystemError) -> Descriptor {
        Descriptor(
            number: try SystemError.check("open") { openat(number, name, flags | O_NOFOLLOW | O_CLOEXEC, 0o600) }
        )
    }

    // MARK: Names

    func makeFolder(_ name: String) throws(SystemError) {
        _ = try SystemError.check("mkdir") { mkdirat(number, name, 0o700) }
    }

    func link(_ name: String, to folder: borrowing Descriptor, as newName: String) throws(SystemError) {
        let target = folder.number
        _ = try SystemError.check("link") { linkat(number, name, target, newName, 0) }
    }

    func rename(_ name: String, to folder: borrowing Descriptor, as newName: String) throws(SystemError) {
        let target = folder.number
        _ = try SystemError.check("rename") { renameat(number, name, target, newName) }
    }

    func removeFile(_ name: String) throws(SystemError) {
        _ = try SystemError.check("unlink") { unlinkat(number, name, 0) }
    }

    func removeFolder(_ name: String) throws(SystemError) {
        _ = try SystemError.check("rmdir") { unlinkat(number, name, AT_REMOVEDIR) }
    }

    // MARK: Contents

    func status() throws(SystemError) -> FileStatus {
        var status = stat()
        _ = try SystemError.check("stat") { fstat(number, &status) }
        return FileStatus(status)
    }

    /// `nil` when there is nothing of that name.
    func status(of name: String) throws(SystemError) -> FileStatus? {
        var status = stat()
        do {
            _ = try SystemError.check("stat") { fstatat(number, name, &status, AT_SYMLINK_NOFOLLOW) }
        } catch {
            if error.isNotFound { return nil }
            throw error
        }
        return FileStatus(status)
    }

    /// How many bytes were read; 0 only at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SystemError) -> Int {
        try SystemError.check("read") { pread(number, buffer.baseAddress, buffer.count, off_t(offset)) }
    }

    /// How many bytes were written.
    func write(_ buffer: UnsafeRawBufferPointer) throws(SystemError) -> Int {
        #if canImport(Darwin)
            try SystemError.check("write") { Darwin.write(number, buffer.baseAddress, buffer.count) }
        #elseif canImport(Musl)
            try SystemError.check("write") { Musl.write(number, buffer.baseAddress, buffer.count) }
        #else
            try SystemError.check("write") { Glibc.write(number, buffer.baseAddress, buffer.count) }
        #endif
    }

    /// Lets `write` go past the page cache, or through it again; past it, `write` takes whole blocks of 4,096 bytes at such
    /// addresses and offsets only.
    ///
    /// - Returns: `false` where that can't be had.
    func setDirect(_ directly: Bool) -> Bool {
        hawser_write_directly(number, directly ? 1 : 0) == 0
    }

    /// Returns when contents and length are on the medium.
    func synchronize() throws(SystemError) {
        #if canImport(Darwin)
            // fsync leaves the data in the drive's cache there.
            if fcntl(number, F_FULLFSYNC) == 0 { return }
        #endif
        _ = try SystemError.check("fsync") { fsync(number) }
    }

    /// The same for the names in a folder.
    func synchronizeFolder() throws(SystemError) {
        do {
            try synchronize()
        } catch {
            if !error.isSyncUnsupported { throw error }
        }
    }

    /// A folder's names, in the order of the file system. `body` gets the bytes of one name and whether it can be a
    /// folder or a file (both when the file system does not say; a symbolic link can be either).
    func forEachName(
        _ body: (UnsafeBufferPointer<UInt8>, _ canBeFolder: Bool, _ canBeFile: Bool) -> Void
    ) throws(SystemError) {
        // Opened anew: the stream owns its descriptor and its place in the folder.
        let own = try SystemError.check("open") { openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard let stream = fdopendir(own) else {
            let error = SystemError(number: errno, call: "fdopendir")
            _ = close(own)
            throw error
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError(number: errno, call: "readdir") }
                return
            }
            let type = Int(entry.pointee.d_type)
            let isUnclear = type == Int(DT_UNKNOWN) || type == Int(DT_LNK)
            guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return }
            let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: UInt8.self)
            let length = strlen(UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
            body(
                UnsafeBufferPointer(start: name, count: length),
                isUnclear || type == Int(DT_DIR),
                isUnclear || type == Int(DT_REG)
            )
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether `other` is what lies at `offset`; both must be within bounds.
    func isEqual(to other: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard let own = baseAddress, let others = other.baseAddress else { return other.isEmpty }
        return memcmp(own + offset, others, other.count) == 0
    }
}
