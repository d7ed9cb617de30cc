import ArgumentParser
import Glibc
import HawserFormat
import HawserProvider

/// A number of bytes as people write it: `500G`, `1.5TiB`; the units are binary.
struct ByteSize: Hashable, ExpressibleByArgument {
    var bytes: Int

    private static let units: [(letter: Character, factor: Double)] = [
        ("k", 1024), ("m", 1_048_576), ("g", 1_073_741_824), ("t", 1_099_511_627_776), ("p", 1_125_899_906_842_624),
    ]

    init?(argument: String) {
        var text = argument.lowercased()
        for suffix in ["ib", "b"] where text.hasSuffix(suffix) {
            text.removeLast(suffix.count)
            break
        }
        var factor = 1.0
        if let unit = Self.units.first(where: { text.last == $0.letter }) {
            factor = unit.factor
            text.removeLast()
        }
        guard text.first?.isNumber ?? false, let number = Double(text),
            let bytes = Int(exactly: (number * factor).rounded())
        else { return nil }
        self.bytes = bytes
    }

    /// `1.500 GiB`.
    static func text(_ bytes: Int) -> String {
        guard let unit = units.last(where: { Double(bytes) >= $0.factor }) else { return "\(bytes) B" }
        let thousandths = Int((Double(bytes) / unit.factor * 1000).rounded())
        let rest = String(thousandths % 1000)
        let zeros = String(repeating: "0", count: 3 - rest.utf8.count)
        return "\(thousandths / 1000).\(zeros)\(rest) \(unit.letter.uppercased())iB"
    }

    static func text(_ bytes: Int?) -> String { bytes.map { text($0) } ?? "-" }
}

/// A size, or `none` for no limit.
struct OptionalSize: ExpressibleByArgument {
    var bytes: Int?

    init?(argument: String) {
        if argument == "none" { return }
        guard let size = ByteSize(argument: argument) else { return nil }
        bytes = size.bytes
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
        let forms = [
            argument, argument + "T00:00:00.000000000Z", String(argument.dropLast()) + ".000000000Z",
        ]
        guard let found = forms.lazy.compactMap({ Timestamp(text: $0) }).first else { return nil }
        time = Moment(found)
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
        // One at the end, as editors and `echo` leave it.
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw HawserError(.invalidArgument, "The secret is empty.", place: path) }
        return bytes
    }
}
