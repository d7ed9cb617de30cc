/// Arguments as bytes. The argument parser works with `String`, which would replace what is not UTF-8, and then a file of such a
/// name could not be given.
///
/// Bytes that are not UTF-8 travel as characters of the last private-use plane; such characters themselves travel as their bytes.
enum RawArgument {
    /// Stands for the byte 0; 255 more follow.
    private static let first: UInt32 = 0x10_fe00

    static func string(_ bytes: [UInt8]) -> String {
        var text = ""
        var rest = bytes[...]
        while let byte = rest.first {
            var decoder = UTF8()
            var iterator = rest.prefix(4).makeIterator()
            if case .scalarValue(let scalar) = decoder.decode(&iterator), !isEscape(scalar) {
                text.unicodeScalars.append(scalar)
                rest.removeFirst(UTF8.width(scalar))
            } else {
                text.unicodeScalars.append(Unicode.Scalar(first + UInt32(byte)) ?? "?")
                rest.removeFirst()
            }
        }
        return text
    }

    static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            if isEscape(scalar) {
                bytes.append(UInt8(scalar.value - first))
            } else {
                bytes += UTF8.encode(scalar) ?? .init()
            }
        }
        return bytes
    }

    private static func isEscape(_ scalar: Unicode.Scalar) -> Bool {
        (first...first + 255).contains(scalar.value)
    }
}

extension String {
    /// The bytes that were given on the command line.
    var rawBytes: [UInt8] { RawArgument.bytes(self) }
}
