import HawserFormat

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A system call that failed.
struct SystemError: Error, Hashable {
    let number: CInt
    let call: String

    /// Repeats `body` while signals interrupt it.
    static func check<Value: SignedInteger>(_ call: String, _ body: () -> Value) throws(SystemError) -> Value {
        while true {
            let value = body()
            if value >= 0 { return value }
            let number = errno
            if number != EINTR { throw SystemError(number: number, call: call) }
        }
    }

    var isNotFound: Bool { number == ENOENT }
    var exists: Bool { number == EEXIST }
    /// Of a write past the page cache: the drive wants other blocks.
    var isInvalid: Bool { number == EINVAL }
    /// What `O_NOFOLLOW` and `O_DIRECTORY` say of a symbolic link or of something else than a folder.
    var isWrongKind: Bool { number == ELOOP || number == ENOTDIR }
    /// The file system can't sync a folder; then there is nothing that could be asked of it.
    var isSyncUnsupported: Bool { number == EINVAL || number == ENOTSUP || number == EBADF }
    /// The file system has no hard links (FAT, exFAT, some network and FUSE file systems).
    var isLinkUnsupported: Bool {
        [EPERM, ENOTSUP, EOPNOTSUPP, ENOSYS, EMLINK].contains(number)
    }
    var isFolderNotEmpty: Bool { number == ENOTEMPTY || number == EEXIST || number == EBUSY }

    private var text: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
        return buffer.withUnsafeBufferPointer { text in
            String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// The error as users of a store see it.
    func storageError(place: String) -> HawserError {
        let (code, message, isRetryable) = classified
        return HawserError(code, message + " (\(call): \(text))", place: place, isRetryable: isRetryable)
    }

    private var classified: (HawserError.Code, String, isRetryable: Bool) {
        switch number {
        case ENOSPC:
            (.storageFull, "The file system of the repository is full. Free space on it, then run this again.", false)
        case EDQUOT:
            (
                .storageFull, "The disk quota of this user is used up. Raise it or free space, then run this again.",
                false
            )
        case EFBIG:
            (.storageFull, "The file system or a limit of this process does not allow a file of this size.", false)
        case EACCES, EPERM:
            (.accessDenied, "Not allowed. Check the owner and mode of this folder and its files.", false)
        case EROFS:
            (.accessDenied, "The file system is mounted read-only. Mount it for writing, then run this again.", false)
        case ENOENT:
            (.notFound, "There is no such file or folder.", false)
        case ELOOP, ENOTDIR:
            (
                .damaged,
                "Something else than a folder lies here, or a symbolic link, which is never followed. Choose another "
                    + "place, or move it away.",
                false
            )
        case ENAMETOOLONG:
            (.invalidArgument, "The path is too long for this file system.", false)
        case ENODEV, ENXIO:
            (.unavailable, "The drive is gone. Attach it again, then run this again.", false)
        case EMFILE, ENFILE:
            (.unavailable, "Too many files are open. Raise the limit of open files (ulimit -n).", true)
        case EIO where call == "read":
            (
                .damaged,
                "The drive can't read this part of the file. Check the drive, and copy the repository to another one.",
                true
            )
        case EIO, ESTALE, ETIMEDOUT, EAGAIN, EBUSY, ENOMEM, ENOTCONN, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH:
            (.unavailable, "The drive or file server failed. Check it if this happens again.", true)
        default:
            (.unavailable, "The file system refused.", false)
        }
    }
}
