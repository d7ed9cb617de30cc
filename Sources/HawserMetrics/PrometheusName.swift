/// The rules of Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
enum PrometheusName {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`; other characters become `_`.
    static func metric(_ text: String) -> String { cleaned(text, alsoAllowed: UInt8(ascii: ":")) }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`; other characters become `_`.
    static func label(_ text: String) -> String { cleaned(text, alsoAllowed: UInt8(ascii: "_")) }

    /// Between the quotes of a label's value.
    static func escapedValue(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x5c || $0 == 0x22 || $0 == 0x0a }) else { return text }
        return text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            // One character in Swift, but the format's line ends at its second half.
            case "\r\n": result += "\r\\n"
            default: result.append(character)
            }
        }
    }

    /// Of a HELP line, where quotes stay as they are.
    static func escapedHelp(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r\n": result += "\r\\n"
            default: result.append(character)
            }
        }
    }

    /// As Go's `ParseFloat` reads it; whole numbers without a fraction.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        // Up to here every whole number has its own Double.
        if value == value.rounded(), abs(value) < 0x1p53 { return String(Int64(value)) }
        return String(value)
    }

    /// `{name="value",…}`, or nothing.
    static func labels(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.0)=\"\(escapedValue($0.1))\"" }.joined(separator: ",") + "}"
    }

    private static func cleaned(_ text: String, alsoAllowed: UInt8) -> String {
        var bytes = text.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"), alsoAllowed: byte
            default: UInt8(ascii: "_")
            }
        }
        if bytes.first.map({ (0x30...0x39).contains($0) }) ?? true { bytes.insert(UInt8(ascii: "_"), at: 0) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
