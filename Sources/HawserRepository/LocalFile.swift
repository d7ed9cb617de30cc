import CHawser
import Glibc
import HawserFormat

/// The few file operations of the local cache. All block; cache files are small or mapped.
enum LocalFile {
    /// Only this user: the cache says which chunks a machine has.
    private static let directoryMode: mode_t = 0o700
    static let fileMode: mode_t = 0o600

    static func makeDirectories(_ path: String) throws {
        if mkdir(path, directoryMode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw failure("The directory can't be made", path)
        }
        try makeDirectories(String(path[..<slash]))
        guard mkdir(path, directoryMode) == 0 || errno == EEXIST else {
            throw failure("The directory can't be made", path)
        }
    }

    /// `nil` when there is no such file.
    static func read(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("The file can't be opened", path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("The file can't be examined", path) }
        let length = Int(status.st_size)
        return try [UInt8](unsafeUninitializedCapacity: length) { buffer, filled in
            while filled < length {
                let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                let count = Glibc.read(descriptor, rest.baseAddress, rest.count)
                guard count >= 0 || errno == EINTR else { throw failure("The file can't be read", path) }
                if count == 0 { return }
                filled += max(0, count)
            }
        }
    }

    /// Replaces the file in one step. Not synced: what the cache holds can be made anew.
    static func replace(_ path: String, with bytes: [UInt8]) throws {
        let temporary = path + "." + [UInt8].random(count: 8).hex
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, fileMode)
        guard descriptor >= 0 else { throw failure("The file can't be made", temporary) }
        defer { close(descriptor) }
        do {
            try write(bytes, to: descriptor, path)
            guard rename(temporary, path) == 0 else { throw failure("The file can't be renamed", path) }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    static func write(_ bytes: [UInt8], to descriptor: CInt, _ path: String) throws {
        try bytes.withUnsafeBytes { all in
            var rest = all[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                guard count >= 0 || errno == EINTR else { throw failure("The file can't be written", path) }
                rest = rest.dropFirst(max(0, count))
            }
        }
    }

    /// A new file of zeros for reading and writing.
    ///
    /// - Parameter length: bytes, allocated and not only said: writing to a mapping of a full disk would end the process.
    static func create(_ path: String, length: Int = 0) throws -> CInt {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, fileMode)
        guard descriptor >= 0 else { throw failure("The file can't be made", path) }
        var result: CInt = 0
        if length > 0 {
            repeat { result = posix_fallocate(descriptor, 0, off_t(length)) } while result == EINTR
        }
        guard result == 0 else {
            errno = result
            let error = failure("There is no room for the file", path)
            close(descriptor)
            unlink(path)
            throw error
        }
        return descriptor
    }

    /// The same in memory; its room is taken as it is written to.
    static func createInMemory(length: Int) throws -> CInt {
        let descriptor = hawser_memory_file()
        if descriptor < 0 {
            errno = -descriptor
        } else if ftruncate(descriptor, off_t(length)) == 0 {
            return descriptor
        }
        let error = failure("There is no memory for the index", "memory")
        if descriptor >= 0 { close(descriptor) }
        throw error
    }

    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes files and directories below, and the directory itself. What can't be removed stays.
    static func removeTree(_ directory: String) {
        for name in names(in: directory) {
            let path = directory + "/" + name
            if unlink(path) != 0 { removeTree(path) }
        }
        rmdir(directory)
    }

    static func failure(_ what: String, _ path: String) -> HawserError {
        let number = errno
        let code: HawserError.Code =
            switch number {
            case ENOSPC, EDQUOT: .storageFull
            case EACCES, EPERM, EROFS: .accessDenied
            case ENOENT: .notFound
            default: .fileSystem
            }
        return HawserError(code, "\(what): \(String(cString: strerror(number))).", place: path)
    }
}

/// An advisory lock on a file, held while this object lives. Released by the kernel when the process ends.
final class FileLock: Sendable {
    private let descriptor: CInt

    /// - Returns: `nil` when somebody else holds it.
    init?(_ path: String) throws {
        var file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, LocalFile.fileMode)
        // In a place that can't be written to, what is there can be locked all the same.
        if file < 0, errno == EROFS || errno == EACCES { file = open(path, O_RDONLY | O_CLOEXEC) }
        descriptor = file
        guard descriptor >= 0 else { throw LocalFile.failure("The lock can't be opened", path) }
        var result: CInt
        repeat { result = flock(descriptor, LOCK_EX | LOCK_NB) } while result != 0 && errno == EINTR
        guard result == 0 else {
            if errno == EWOULDBLOCK { return nil }
            throw LocalFile.failure("The lock can't be taken", path)
        }
    }

    deinit {
        close(descriptor)
    }
}
