/// A number of bytes as people write it: `512M`, `1.5GiB`; the units are binary.
public enum ByteSize {
    private static let units: [(letter: Character, factor: Double)] = [
        ("k", 1024), ("m", 1_048_576), ("g", 1_073_741_824), ("t", 1_099_511_627_776), ("p", 1_125_899_906_842_624),
    ]

    /// - Returns: `nil` for what is no such number, or too large.
    public static func bytes(_ text: String) -> Int? {
        var text = text.lowercased()
        for suffix in ["ib", "b"] where text.hasSuffix(suffix) {
            text.removeLast(suffix.count)
            break
        }
        var factor = 1.0
        if let unit = units.first(where: { text.last == $0.letter }) {
            factor = unit.factor
            text.removeLast()
        }
        guard text.first?.isNumber ?? false, let number = Double(text) else { return nil }
        return Int(exactly: (number * factor).rounded())
    }

    /// With three decimals, as restic prints sizes: `1.500 GiB`.
    public static func text(_ bytes: some BinaryInteger) -> String {
        let value = Double(bytes)
        for unit in units.reversed() where value >= unit.factor {
            return decimals(value / unit.factor, 3) + " " + unit.letter.uppercased() + "iB"
        }
        return "\(bytes) B"
    }

    /// Rounded, without Foundation's formatting.
    public static func decimals(_ value: Double, _ count: Int) -> String {
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
