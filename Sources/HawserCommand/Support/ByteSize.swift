import ArgumentParser

/// A number of bytes as people write it: `512M`, `1.5GiB`; the units are binary.
struct ByteSize: Hashable, ExpressibleByArgument {
    var bytes: Int

    private static let units: [(letter: Character, factor: Double)] = [
        ("k", 1024), ("m", 1_048_576), ("g", 1_073_741_824), ("t", 1_099_511_627_776),
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

    /// With three decimals, as restic prints sizes: `1.500 GiB`.
    static func text(_ bytes: some BinaryInteger) -> String {
        let value = Double(bytes)
        for unit in units.reversed() where value >= unit.factor {
            return decimals(value / unit.factor, 3) + " " + unit.letter.uppercased() + "iB"
        }
        return "\(bytes) B"
    }

    /// Rounded, without Foundation's formatting.
    static func decimals(_ value: Double, _ count: Int) -> String {
        guard value.isFinite, value.magnitude < 1e15 else { return "?" }
        let factor = (0..<count).reduce(1.0) { product, _ in product * 10 }
        let scaled = Int64((value.magnitude * factor).rounded())
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard count > 0 else { return sign + String(scaled) }
        let (whole, rest) = scaled.quotientAndRemainder(dividingBy: Int64(factor))
        let digits = String(rest)
        return sign + "\(whole)." + String(repeating: "0", count: count - digits.utf8.count) + digits
    }
}

extension Duration {
    var inSeconds: Double { self / .seconds(1) }

    /// `0:07`, `12:34`, `1:02:03`.
    var clockText: String {
        let total = max(components.seconds, 0)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let hours = total / 3600
        let rest = "\(two(total / 60 % 60)):\(two(total % 60))"
        return hours > 0 ? "\(hours):\(rest)" : rest
    }
}
