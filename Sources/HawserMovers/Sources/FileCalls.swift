import CHawser
import Glibc
import HawserFormat
import HawserStorage

/// An errno value.
struct CallFailure: Error {
    let code: Int32

    /// With the entry that is concerned, and what it means for the backup.
    func error(at path: EntryPath) -> HawserError {
        let place = path.description
        let reason = String(cString: strerror(code))
        return switch code {
        case ENOENT, ESTALE:
            HawserError(.notFound, "It vanished while the backup ran.", place: place, cause: self)
        case EACCES, EPERM:
            HawserError(.accessDenied, "Reading it is not allowed: \(reason).", place: place, cause: self)
        case ENOTBLK:
            HawserError(.invalidArgument, "It is neither a block device nor a regular file.", place: place, cause: self)
        case ELOOP, ENOTDIR, ENXIO:
            HawserError(
                .fileSystem,
                "It was replaced by something of another kind while the backup ran.",
                place: place,
                cause: self
            )
        default:
            HawserError(.fileSystem, "It could not be read: \(reason).", place: place, cause: self)
        }
    }
}

extension CallFailure: CustomStringConvertible {
    var description: String { "errno \(code)" }
}

/// The system calls of the sources, all relative to a directory's descriptor. Another system needs this file and `CHawser`'s `files.c`.
enum FileCalls {
    /// `options` are those of `hawser_open`.
    static func open(
        _ name: UnsafePointer<CChar>,
        in directory: Int32,
        _ options: UInt32 = 0
    ) throws(CallFailure) -> Int32 {
        let file = hawser_open(directory, name, Int32(truncatingIfNeeded: options))
        if file >= 0 { return file }
        // Only owners may leave the access time alone.
        guard -file == EPERM, options & HAWSER_OPEN_NO_ATIME.rawValue != 0 else { throw CallFailure(code: -file) }
        return try open(name, in: directory, options & ~HAWSER_OPEN_NO_ATIME.rawValue)
    }

    /// An empty name stands for `directory` itself, whatever it is.
    static func status(
        _ name: UnsafePointer<CChar>,
        in directory: Int32,
        following: Bool = false
    ) throws(CallFailure) -> FileStatus {
        var status = FileStatus()
        try status.read(name, in: directory, following: following)
        return status
    }

    static func status(of file: Int32) throws(CallFailure) -> FileStatus {
        var status = FileStatus()
        try status.read(emptyName, in: file, following: false)
        return status
    }

    /// Fills `buffer` unless the end comes.
    static func read(_ file: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(CallFailure)
        -> Int
    {
        var count = 0
        while count < buffer.count {
            guard let position = off_t(exactly: offset + UInt64(count)) else { break }
            let step = pread(file, buffer.baseAddress.map { $0 + count }, buffer.count - count, position)
            if step == 0 { break }
            if step > 0 { count += step } else if errno != EINTR { throw CallFailure(code: errno) }
        }
        return count
    }

    /// Reads on in a stream, waiting for at least one byte; 0 at the end.
    ///
    /// Whoever is cancelled does not wait any longer, however long nothing comes.
    static func read(_ file: Int32, into buffer: UnsafeMutableRawBufferPointer, at path: EntryPath) async throws -> Int
    {
        while true {
            try await waitForInput(file, path)
            let count = Glibc.read(file, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            // Somebody may have made the shared descriptor non-blocking, and somebody else read from it.
            if errno != EINTR, errno != EAGAIN { throw CallFailure(code: errno).error(at: path) }
        }
    }

    private static func waitForInput(_ file: Int32, _ path: EntryPath) async throws {
        @Sendable func isReady(after milliseconds: Int32) throws -> Bool {
            var wait = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            let count = poll(&wait, 1, milliseconds)
            if count < 0, errno != EINTR { throw CallFailure(code: errno).error(at: path) }
            return count > 0
        }
        // As long as the other side keeps up, without leaving the thread.
        if try isReady(after: 0) { return }
        try await BlockingExecutor.shared.runAbandonable { abandonment in
            // A tenth of a second is how long a thread waits for nobody.
            while try !isReady(after: 100) { try abandonment.check() }
        }
    }

    static func linkTarget(_ name: UnsafePointer<CChar>, in directory: Int32) throws(CallFailure) -> [UInt8] {
        // Most targets fit; PATH_MAX bounds them on all local file systems, the limit is for the others.
        var capacity = 512
        while capacity <= 1 << 20 {
            var count = 0
            let target = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
                count = buffer.withMemoryRebound(to: CChar.self) {
                    $0.baseAddress.map { readlinkat(directory, name, $0, capacity) } ?? 0
                }
                initialized = max(count, 0)
            }
            if count < 0 { throw CallFailure(code: errno) }
            if count < capacity { return target }
            capacity *= 8
        }
        throw CallFailure(code: ENAMETOOLONG)
    }

    /// False also where the file system knows no holes.
    static func hasHole(_ file: Int32, before size: UInt64) -> Bool {
        let hole = hawser_seek_hole(file, 0)
        return hole >= 0 && UInt64(hole) < size
    }

    /// The stretch of data at or after `offset`, or `nil` for a hole up to the end.
    static func nextData(_ file: Int32, from offset: UInt64) throws(CallFailure) -> Range<UInt64>? {
        guard let position = Int64(exactly: offset) else { return nil }
        let data = hawser_seek_data(file, position)
        if data == Int64(-ENXIO) { return nil }
        // A file system that knows no holes.
        if data == Int64(-EINVAL) || data == Int64(-EOPNOTSUPP) { return offset..<UInt64.max }
        if data < 0 { throw CallFailure(code: Int32(truncatingIfNeeded: -data)) }
        let hole = hawser_seek_hole(file, data)
        // Cut shorter in between.
        if hole == Int64(-ENXIO) || hole == data { return nil }
        if hole < 0 { throw CallFailure(code: Int32(truncatingIfNeeded: -hole)) }
        return UInt64(data)..<UInt64(hole)
    }

    // Never written or freed, so that they can be used from everywhere.
    nonisolated(unsafe) static let emptyName = constant("")
    nonisolated(unsafe) static let rootName = constant("/")

    private static func constant(_ text: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
