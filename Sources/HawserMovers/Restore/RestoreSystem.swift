import Glibc
import HawserFormat

/// What a system call says about a file, in the words of `Entry`.
struct RestoreStatus {
    private var raw = stat()

    /// `nil`, with `errno` set, when the call fails.
    init?(descriptor: Int32) {
        guard fstat(descriptor, &raw) == 0 else { return nil }
    }

    /// Of the name itself, never of what a symlink there points to.
    init?(in directory: Int32, _ name: UnsafePointer<CChar>) {
        guard fstatat(directory, name, &raw, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    }

    var kind: Entry.Kind? { Entry.Kind(mode: raw.st_mode) }

    var mode: UInt16 { UInt16(truncatingIfNeeded: raw.st_mode & 0o7777) }
    var userID: UInt32 { raw.st_uid }
    var groupID: UInt32 { raw.st_gid }
    var size: UInt64 { UInt64(clamping: raw.st_size) }
    var links: UInt64 { UInt64(raw.st_nlink) }
    var rawDevice: dev_t { raw.st_rdev }
    var identity: FileIdentity { FileIdentity(device: UInt64(raw.st_dev), inode: UInt64(raw.st_ino)) }

    var modified: Timestamp {
        Timestamp(seconds: Int64(raw.st_mtim.tv_sec), nanoseconds: UInt32(clamping: raw.st_mtim.tv_nsec))
    }
}

extension EntryPath {
    /// The last component for a system call, without an allocation.
    func withName<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try name.withCString(body)
    }
}

extension ArraySlice<UInt8> {
    func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try withUnsafeBytes { bytes in
            try withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { buffer in
                let target = UnsafeMutableRawBufferPointer(buffer)
                target.copyMemory(from: bytes)
                target[bytes.count] = 0
                return try body(UnsafePointer(buffer.baseAddress.unsafelyUnwrapped))
            }
        }
    }
}

/// Repeats a call that a signal interrupted.
@inline(__always)
func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

extension HawserError {
    /// A failed system call of a restore. `storageFull` must stop the restore, all others concern one entry.
    static func restore(_ what: String, _ path: EntryPath, errno code: Int32) -> HawserError {
        let reason = String(cString: strerror(code))
        return switch code {
        case ENOSPC, EDQUOT:
            HawserError(
                .storageFull,
                "Can't \(what): \(reason). Make room in the target, then run the restore again.",
                place: path.description
            )
        case EACCES, EPERM, EROFS:
            HawserError(.accessDenied, "Can't \(what): \(reason).", place: path.description)
        case ELOOP, ENOTDIR:
            HawserError(
                .conflict,
                "Can't \(what): a symbolic link or file stands in the way and is not followed.",
                place: path.description
            )
        default:
            HawserError(.fileSystem, "Can't \(what): \(reason).", place: path.description)
        }
    }

    static func restoreConflict(_ message: String, _ path: EntryPath) -> HawserError {
        HawserError(.conflict, message, place: path.description)
    }
}
