import CXattr

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// An open folder: names are bytes, and the length of the whole path does not matter.
final class Folder {
    private let descriptor: Int32

    init(path: String) throws {
        descriptor = try systemCall("open") { open(path, O_RDONLY | O_DIRECTORY) }
    }

    private init(parent: Int32, name: [UInt8]) throws {
        descriptor = try name.withCName { name in
            try systemCall("openat") { openat(parent, name, O_RDONLY | O_DIRECTORY) }
        }
    }

    deinit {
        close(descriptor)
    }

    @discardableResult
    func makeFolder(_ name: [UInt8]) throws -> Folder {
        try name.withCName { name in _ = try systemCall("mkdirat") { mkdirat(descriptor, name, 0o755) } }
        return try Folder(parent: descriptor, name: name)
    }

    @discardableResult
    func makeFolder(_ name: String) throws -> Folder {
        try makeFolder(Array(name.utf8))
    }

    /// Returns the open file for those who go on with it; else it closes itself.
    @discardableResult
    func makeFile(_ name: [UInt8], _ content: [UInt8]) throws -> OpenFile {
        let file = try name.withCName { name in
            try systemCall("openat") { openat(descriptor, name, O_WRONLY | O_CREAT | O_EXCL, 0o644) }
        }
        let open = OpenFile(descriptor: file)
        try open.write(content, at: 0)
        return open
    }

    @discardableResult
    func makeFile(_ name: String, _ content: [UInt8]) throws -> OpenFile {
        try makeFile(Array(name.utf8), content)
    }

    func makeSymlink(_ name: String, _ target: [UInt8]) throws {
        try target.withCName { target in
            _ = try systemCall("symlinkat") { symlinkat(target, descriptor, name) }
        }
    }

    func makeNode(_ name: String, _ mode: mode_t, device: dev_t = 0) throws {
        #if os(Linux)
            try systemCall("mknodat") { mknodat(descriptor, name, mode, device) }
        #else
            guard mode & S_IFMT == S_IFIFO else { throw SystemCallError(name: "mknodat", code: ENOTSUP) }
            try systemCall("mkfifoat") { mkfifoat(descriptor, name, mode) }
        #endif
        try change(name, mode: mode & 0o7777)
    }

    func link(_ name: String, to folder: Folder, _ other: String) throws {
        try systemCall("linkat") { linkat(descriptor, name, folder.descriptor, other, 0) }
    }

    func change(_ name: String, mode: mode_t) throws {
        try systemCall("fchmodat") { fchmodat(descriptor, name, mode, 0) }
    }

    func change(_ name: String, owner: uid_t, group: gid_t) throws {
        try systemCall("fchownat") { fchownat(descriptor, name, owner, group, AT_SYMLINK_NOFOLLOW) }
    }

    func change(_ name: String, modified: (seconds: Int, nanoseconds: Int)) throws {
        let moment = timespec(tv_sec: modified.seconds, tv_nsec: modified.nanoseconds)
        let times = [moment, moment]
        try systemCall("utimensat") { utimensat(descriptor, name, times, AT_SYMLINK_NOFOLLOW) }
    }

    #if os(Linux)
        func setAttribute(_ name: String, _ attribute: String, _ value: [UInt8]) throws {
            try systemCall("lsetxattr") { lsetxattr(path(of: name), attribute, value, value.count, 0) }
        }

        func removeAttribute(_ name: String, _ attribute: String) throws {
            try systemCall("lremovexattr") { lremovexattr(path(of: name), attribute) }
        }

        /// Adds to the flags of `chattr`; see linux/fs.h.
        func setFlags(_ name: String, _ added: CLong) throws {
            // _IOR('f', 1, long) and _IOW('f', 2, long): macros that Swift does not import.
            let (get, set): (UInt, UInt) = (0x8008_6601, 0x4008_6602)
            let file = try systemCall("openat") { openat(descriptor, name, O_RDONLY) }
            defer { close(file) }
            var flags: CLong = 0
            try systemCall("FS_IOC_GETFLAGS") { ioctl(file, get, &flags) }
            flags |= added
            try systemCall("FS_IOC_SETFLAGS") { ioctl(file, set, &flags) }
        }

        private func path(of name: String) -> String { "/proc/self/fd/\(descriptor)/\(name)" }
    #endif
}

/// A file that is being made; closed with its last reference.
final class OpenFile {
    let descriptor: Int32

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    func write(_ bytes: [UInt8], at offset: Int64) throws {
        var written = 0
        while written < bytes.count {
            written += try bytes.withUnsafeBytes { bytes in
                try systemCall("pwrite") {
                    pwrite(
                        descriptor,
                        bytes.baseAddress! + written,
                        bytes.count - written,
                        off_t(offset) + off_t(written)
                    )
                }
            }
        }
    }

    func truncate(to length: Int64) throws {
        try systemCall("ftruncate") { ftruncate(descriptor, off_t(length)) }
    }
}

extension [UInt8] {
    fileprivate func withCName<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try (self + [0]).withUnsafeBytes { try body($0.bindMemory(to: CChar.self).baseAddress!) }
    }
}
