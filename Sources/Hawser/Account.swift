#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Who runs this process, and where, as bytes: neither needs to be UTF-8.
public struct Account: Hashable, Sendable {
    public var user: [UInt8]
    public var host: [UInt8]

    /// Of this process and machine. The user's number stands for a name that is not known.
    public static var current: Account {
        let user = getpwuid(geteuid()).map { bytes(of: $0.pointee.pw_name) } ?? Array(String(geteuid()).utf8)
        // POSIX bounds host names by 255 bytes.
        let host = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let name = buffer.baseAddress, gethostname(name, 255) == 0 else { return [UInt8]() }
            return bytes(of: name)
        }
        return Account(user: user, host: host.isEmpty ? Array("localhost".utf8) : host)
    }

    private static func bytes(of text: UnsafePointer<CChar>) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}

extension BackupOptions {
    /// The options of a backup by this user of this machine.
    public init() {
        let account = Account.current
        self.init(hostname: account.host, username: account.user)
    }
}
