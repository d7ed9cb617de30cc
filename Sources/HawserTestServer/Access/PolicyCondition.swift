/// One key of a condition. Several values are alternatives.
struct PolicyCondition: Hashable, Sendable {
    enum Operator: String {
        case stringEquals = "StringEquals"
        case stringNotEquals = "StringNotEquals"
        case stringLike = "StringLike"
        case stringNotLike = "StringNotLike"
        case numericLessThanEquals = "NumericLessThanEquals"
        case bool = "Bool"

        var isNegated: Bool { self == .stringNotEquals || self == .stringNotLike }
    }

    let comparison: Operator
    /// Holds when the key is absent.
    let isOptional: Bool
    let key: String
    let values: [String]

    init(_ name: String, key: String, values: [String]) throws(AccessPolicy.Malformed) {
        let suffix = "IfExists"
        isOptional = name.hasSuffix(suffix)
        guard let comparison = Operator(rawValue: isOptional ? String(name.dropLast(suffix.count)) : name) else {
            throw AccessPolicy.Malformed(message: "This server does not have the condition operator \(name)")
        }
        self.comparison = comparison
        self.key = key.lowercased()
        self.values = values
    }

    /// An absent key fulfils negated conditions and no others.
    func holds(_ context: [String: String]) -> Bool {
        guard let actual = context[key] else { return isOptional || comparison.isNegated }
        let isAny = values.contains { value in
            switch comparison {
            case .stringEquals, .stringNotEquals: actual == value
            case .stringLike, .stringNotLike: Wildcard.matches(actual, value)
            case .bool: actual.lowercased() == value.lowercased()
            case .numericLessThanEquals:
                if let actual = Int(actual), let value = Int(value) { actual <= value } else { false }
            }
        }
        return isAny != comparison.isNegated
    }
}

/// `*` stands for any text, `?` for one byte.
enum Wildcard {
    static func matches(_ text: String, _ pattern: String) -> Bool {
        let text = Array(text.utf8)
        let pattern = Array(pattern.utf8)
        var at = 0
        var inPattern = 0
        // Where to go on when what follows the last `*` does not fit here.
        var retry: (at: Int, inPattern: Int)?
        while at < text.count {
            if inPattern < pattern.count, pattern[inPattern] == UInt8(ascii: "*") {
                retry = (at, inPattern + 1)
                inPattern += 1
            } else if inPattern < pattern.count,
                pattern[inPattern] == UInt8(ascii: "?") || pattern[inPattern] == text[at]
            {
                at += 1
                inPattern += 1
            } else if let last = retry {
                retry = (last.at + 1, last.inPattern)
                at = last.at + 1
                inPattern = last.inPattern
            } else {
                return false
            }
        }
        return pattern[inPattern...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
