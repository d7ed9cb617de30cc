import HawserFormat

/// The wildcards of Go's `filepath.Match` for one component (https://pkg.go.dev/path/filepath#Match).
struct NameGlob: Hashable, Sendable {
    private enum Token: Hashable {
        case byte(UInt8)
        case anySequence
        case anyCharacter
        case oneOf([ClosedRange<UInt32>], negated: Bool)
    }

    private let tokens: [Token]

    init(_ pattern: ArraySlice<UInt8>) throws {
        var tokens: [Token] = []
        var rest = pattern
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"):
                if tokens.last != .anySequence { tokens.append(.anySequence) }
            case UInt8(ascii: "?"): tokens.append(.anyCharacter)
            case UInt8(ascii: "["): tokens.append(try Self.set(&rest))
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst() else { throw Self.malformed }
                tokens.append(.byte(escaped))
            default: tokens.append(.byte(byte))
            }
        }
        self.tokens = tokens
    }

    private static let malformed = HawserError(
        .invalidArgument,
        "A pattern is malformed: a bracket is not closed or empty, or nothing follows a backslash."
    )

    private static func set(_ rest: inout ArraySlice<UInt8>) throws -> Token {
        let negated = rest.first == UInt8(ascii: "^")
        if negated { rest.removeFirst() }
        var ranges: [ClosedRange<UInt32>] = []
        while true {
            if rest.first == UInt8(ascii: "]"), !ranges.isEmpty {
                rest.removeFirst()
                return .oneOf(ranges, negated: negated)
            }
            let low = try setCharacter(&rest)
            var high = low
            if rest.first == UInt8(ascii: "-") {
                rest.removeFirst()
                high = try setCharacter(&rest)
            }
            // A range the wrong way round matches nothing: one that no character is in.
            ranges.append(low <= high ? low...high : UInt32.max...UInt32.max)
        }
    }

    private static func setCharacter(_ rest: inout ArraySlice<UInt8>) throws -> UInt32 {
        guard let first = rest.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "]") else { throw malformed }
        if first == UInt8(ascii: "\\") { rest.removeFirst() }
        let (character, length) = rest.withUnsafeBufferPointer { Self.character(at: 0, of: $0) }
        guard length > 0 else { throw malformed }
        rest.removeFirst(length)
        return character
    }

    func matches(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        tokens.withUnsafeBufferPointer { tokens in
            var token = 0
            var position = 0
            // The last `*`, and where the rest was tried last.
            var star: (token: Int, position: Int)?
            while token < tokens.count || position < name.count {
                if token < tokens.count {
                    if case .anySequence = tokens[token] {
                        token += 1
                        star = (token, position)
                        continue
                    }
                    let length = Self.match(tokens[token], at: position, of: name)
                    if length > 0 {
                        token += 1
                        position += length
                        continue
                    }
                }
                guard let last = star, last.position < name.count else { return false }
                star = (last.token, last.position + 1)
                token = last.token
                position = last.position + 1
            }
            return true
        }
    }

    /// The number of bytes that `token` takes, 0 when it doesn't match.
    private static func match(_ token: Token, at position: Int, of name: UnsafeBufferPointer<UInt8>) -> Int {
        guard position < name.count else { return 0 }
        switch token {
        case .byte(let byte): return name[position] == byte ? 1 : 0
        case .anySequence: return 0
        case .anyCharacter: return character(at: position, of: name).length
        case .oneOf(let ranges, let negated):
            let (scalar, length) = character(at: position, of: name)
            let isInside = ranges.contains { range in range.contains(scalar) }
            return isInside != negated ? length : 0
        }
    }

    /// One UTF-8 character, or one byte as U+FFFD where there is none; length 0 at the end.
    private static func character(at position: Int, of name: UnsafeBufferPointer<UInt8>) -> (UInt32, length: Int) {
        guard position < name.count else { return (0, 0) }
        if name[position] < 0x80 { return (UInt32(name[position]), 1) }
        var decoder = UTF8()
        var bytes = name[position...].prefix(4).makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&bytes) else { return (0xfffd, 1) }
        return (scalar.value, UTF8.width(scalar))
    }
}
