import Glibc

enum Environment {
    /// As for arguments, bytes that are not UTF-8 are kept: see `RawArgument`.
    static func value(_ name: String) -> String? {
        bytes(name).map(RawArgument.string)
    }

    static func bytes(_ name: String) -> [UInt8]? {
        getenv(name).map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
    }
}
