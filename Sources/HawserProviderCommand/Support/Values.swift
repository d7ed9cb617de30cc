import ArgumentParser
import Glibc
import HawserFormat
import HawserProvider

extension ByteSize {
    static func text(_ bytes: Int?) -> String { bytes.map { text($0) } ?? "-" }
}

/// A size, or `none` for no limit.
struct OptionalSize: ExpressibleByArgument {
    var bytes: Int?

    init?(argument: String) {
        if argument == "none" { return }
        guard let bytes = ByteSize.bytes(argument) else { return nil }
        self.bytes = bytes
    }
}

/// A number from 1, or `none` for no limit.
struct OptionalCount: ExpressibleByArgument {
    var count: Int?

    init?(argument: String) {
        if argument == "none" { return }
        guard let count = Int(argument), count > 0 else { return nil }
        self.count = count
    }
}

/// A day (its beginning in UTC), a time of RFC 3339, or `none`.
struct OptionalTime: ExpressibleByArgument {
    var time: Moment?

    init?(argument: String) {
        if argument == "none" { return }
        if let day = Timestamp(text: argument + "T00:00:00.000000000Z") {
            time = Moment(day) + .seconds(86_400)
            return
        }
        let forms = [argument, String(argument.dropLast()) + ".000000000Z"]
        guard let found = forms.lazy.compactMap({ Timestamp(text: $0) }).first else { return nil }
        time = Moment(found)
    }
}

/// Which credentials may be exported, or `none`.
struct OptionalExport: ExpressibleByArgument {
    var export: CredentialExport?

    init?(argument: String) {
        if argument == "none" { return }
        guard let export = CredentialExport(rawValue: argument) else { return nil }
        self.export = export
    }
}

enum SecretInput {
    /// A secret is never an argument: those can be seen by everybody on the machine.
    ///
    /// - Parameter path: `-` for the standard input.
    static func read(_ path: String) throws -> [UInt8] {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw HawserError(
                .fileSystem,
                "The secret can't be read: \(String(cString: strerror(errno))).",
                place: path
            )
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        // No secret of a storage is longer.
        while bytes.count < 64 << 10 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        // One line's end, as editors and `echo` leave it.
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw HawserError(.invalidArgument, "The secret is empty.", place: path) }
        return bytes
    }
}
