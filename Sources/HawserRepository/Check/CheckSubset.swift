import HawserFormat

/// Which packs a check reads whole.
public enum CheckData: Sendable {
    case none
    case all
    case subset(CheckSubset)
}

/// A part of the packs, spelled as with restic: `1/7`, `2.5%`, `500M`.
public enum CheckSubset: Hashable, Sendable {
    /// Part `number` (from 1) of `count`: the same packs every time, and all of them after all parts.
    case part(number: Int, count: Int)
    /// So many of a hundred packs, drawn at random; above 0, at most 100.
    case percentage(Double)
    /// Packs drawn at random until they have so many bytes, one at least.
    case size(UInt64)

    /// `nil` for what is none of the three forms.
    public init?(_ text: String) {
        if let slash = text.firstIndex(of: "/") {
            guard let number = Int(text[..<slash]), let count = Int(text[text.index(after: slash)...]),
                number >= 1, number <= count
            else { return nil }
            self = .part(number: number, count: count)
        } else if text.hasSuffix("%") {
            guard let share = Double(text.dropLast()), share > 0, share <= 100 else { return nil }
            self = .percentage(share)
        } else {
            let unit = text.last.flatMap { Self.units[$0] }
            let digits = unit == nil ? text[...] : text.dropLast()
            guard let number = UInt64(digits), number > 0 else { return nil }
            let (size, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
            if overflow { return nil }
            self = .size(size)
        }
    }

    private static let units: [Character: UInt64] = [
        "k": 1 << 10, "K": 1 << 10, "m": 1 << 20, "M": 1 << 20, "g": 1 << 30, "G": 1 << 30, "t": 1 << 40, "T": 1 << 40,
    ]

    func choose(of packs: [PackReference], using generator: inout some RandomNumberGenerator) -> [PackReference] {
        switch self {
        case .part(let number, let count):
            // Names are hashes, so the parts are of about one size.
            return packs.filter { Int($0.name.prefix64 % UInt64(max(1, count))) == number - 1 }
        case .percentage(let share):
            let count = (Double(packs.count) * share / 100).rounded(.up)
            return Array(packs.shuffled(using: &generator).prefix(Int(count)))
        case .size(let limit):
            var sum: UInt64 = 0
            return Array(
                packs.shuffled(using: &generator).prefix { pack in
                    defer { sum += UInt64(pack.length) }
                    return sum < limit
                }
            )
        }
    }
}
