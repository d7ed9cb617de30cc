import Glibc

/// What was to be printed is lost, in whole or in part.
struct OutputFailure: Error {
    /// An errno.
    let code: Int32

    /// Whoever read the output has had enough, as `head` has: nothing to complain of.
    var isUnwanted: Bool { code == EPIPE }

    var message: String { "The output can't be written: \(String(cString: strerror(code)))." }
}

/// A descriptor to which bytes are written until all are there.
struct OutputFile: Sendable {
    let descriptor: Int32

    static let standard = OutputFile(descriptor: STDOUT_FILENO)

    func write(_ bytes: [UInt8]) throws(OutputFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written >= 0 {
                rest = rest.dropFirst(written)
            } else if errno != EINTR {
                throw OutputFailure(code: errno)
            }
        }
    }
}
