public import HawserFormat

/// A pattern for paths, with the rules of restic's `--exclude`: `*`, `?`, `[a-z]`, `[^a-z]` and `\` as in Go's `filepath.Match` within one
/// component, `**` for any number of components. With a leading `/` it holds from the root, otherwise at any depth. It matches a path
/// and everything below that path. A leading `!` takes back what earlier patterns of a list matched.
///
/// Patterns and paths are bytes; `?` and `[…]` stand for one UTF-8 character, or one byte where the name isn't UTF-8.
public struct PathPattern: Hashable, Sendable {
    enum Part: Hashable, Sendable {
        case anyDirectories
        case literal([UInt8])
        case glob(NameGlob)
    }

    /// Whether it began with `!`.
    public let isNegated: Bool
    public let ignoresCase: Bool
    let isAnchored: Bool
    let parts: [Part]

    /// - Throws: `HawserError` with `invalidArgument` when it is empty, a bracket isn't closed, or nothing follows a `\`.
    public init(_ text: some Collection<UInt8>, ignoringCase: Bool = false) throws {
        let isNegated = text.first == UInt8(ascii: "!")
        var bytes = Array(isNegated ? Array(text.dropFirst()) : Array(text))
        guard !bytes.isEmpty else { throw HawserError(.invalidArgument, "A pattern is empty.") }
        if ignoringCase { bytes = PathText.lowercased(bytes) }
        let slash = UInt8(ascii: "/")
        var components: [ArraySlice<UInt8>] = []
        for component in bytes.split(separator: slash) where !component.elementsEqual(".".utf8) {
            if component.elementsEqual("..".utf8), components.last.map({ !$0.elementsEqual("..".utf8) }) ?? false {
                components.removeLast()
            } else {
                components.append(component)
            }
        }
        self.isNegated = isNegated
        ignoresCase = ignoringCase
        isAnchored = bytes.first == slash
        parts = try components.map(Self.part)
    }

    private static func part(_ component: ArraySlice<UInt8>) throws -> Part {
        if component.elementsEqual("**".utf8) { return .anyDirectories }
        let isLiteral = !component.contains { "\\[]*?".utf8.contains($0) }
        return isLiteral ? .literal(Array(component)) : .glob(try NameGlob(component))
    }

    /// Whether it matches the path or one of its ancestors. Negation is for lists: here it has no effect.
    public func matches(_ path: EntryPath) -> Bool {
        PathText(path, ignoringCase: ignoresCase).matches(self)
    }

    /// Whether it can match anything below `directory`, so that looking there is worth it.
    public func mayMatch(below directory: EntryPath) -> Bool {
        PathText(directory, ignoringCase: ignoresCase).matches(self, orLeadsToIt: true)
    }
}

/// Patterns of which the last that matches decides.
public struct PathPatternList: Hashable, Sendable {
    public private(set) var patterns: [PathPattern]
    private var ignoresCase = false
    private var hasNegated = false

    public init(_ patterns: [PathPattern] = []) {
        self.patterns = []
        for pattern in patterns { append(pattern) }
    }

    public var isEmpty: Bool { patterns.isEmpty }

    public mutating func append(_ pattern: PathPattern) {
        patterns.append(pattern)
        if pattern.ignoresCase { ignoresCase = true }
        if pattern.isNegated { hasNegated = true }
    }

    /// One pattern a line, as in a file for `--exclude-file`: blanks around it don't count, nor do empty lines and those that begin with
    /// `#`. Environment variables are not expanded.
    public mutating func append(lines: some Collection<UInt8>, ignoringCase: Bool = false) throws {
        let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
        let text = lines.starts(with: byteOrderMark) ? Array(lines.dropFirst(3)) : Array(lines)
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let isBlank = { (byte: UInt8) in byte == 0x20 || (0x09...0x0d).contains(byte) }
            guard let first = line.firstIndex(where: { !isBlank($0) }),
                let last = line.lastIndex(where: { !isBlank($0) }), line[first] != UInt8(ascii: "#")
            else { continue }
            append(try PathPattern(line[first...last], ignoringCase: ignoringCase))
        }
    }

    /// Whether the path, or everything in one of its ancestors, is chosen by the patterns.
    public func matches(_ path: EntryPath) -> Bool {
        if patterns.isEmpty { return false }
        let text = PathText(path, ignoringCase: false)
        let folded = ignoresCase ? PathText(path, ignoringCase: true) : text
        var matched = false
        for pattern in patterns where matched == pattern.isNegated {
            if (pattern.ignoresCase ? folded : text).matches(pattern) {
                matched = !pattern.isNegated
                if matched, !hasNegated { return true }
            }
        }
        return matched
    }

    /// Whether something below `directory` can be chosen.
    public func mayMatch(below directory: EntryPath) -> Bool {
        patterns.contains { !$0.isNegated && $0.mayMatch(below: directory) }
    }
}

/// A path cut into its components, for several patterns.
struct PathText {
    private let bytes: [UInt8]
    private let components: [Range<Int>]

    init(_ path: EntryPath, ignoringCase: Bool) {
        bytes = ignoringCase ? Self.lowercased(path.bytes) : path.bytes
        var components: [Range<Int>] = []
        var start = 0
        bytes.withUnsafeBufferPointer { bytes in
            for index in 0..<bytes.count where bytes[index] == UInt8(ascii: "/") {
                components.append(start..<index)
                start = index + 1
            }
        }
        if !bytes.isEmpty { components.append(start..<bytes.count) }
        self.components = components
    }

    /// `orLeadsToIt`: also when the path ends before the pattern does.
    func matches(_ pattern: PathPattern, orLeadsToIt: Bool = false) -> Bool {
        if orLeadsToIt, !pattern.isAnchored { return true }
        return bytes.withUnsafeBufferPointer { bytes in
            // The last place where any number of components may be skipped: at first before a pattern without a leading slash.
            var skip: (part: Int, component: Int)? = pattern.isAnchored ? nil : (0, 0)
            var part = 0
            var component = 0
            while part < pattern.parts.count {
                if case .anyDirectories = pattern.parts[part] {
                    part += 1
                    skip = (part, component)
                } else if component < components.count,
                    Self.matches(
                        pattern.parts[part],
                        UnsafeBufferPointer(rebasing: bytes[components[component]])
                    )
                {
                    part += 1
                    component += 1
                } else if orLeadsToIt, component == components.count || skip != nil {
                    return true
                } else if let last = skip, last.component < components.count {
                    skip = (last.part, last.component + 1)
                    part = last.part
                    component = last.component + 1
                } else {
                    return false
                }
            }
            return true
        }
    }

    private static func matches(_ part: PathPattern.Part, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        switch part {
        case .anyDirectories: true
        case .literal(let literal): literal.count == name.count && name.elementsEqual(literal)
        case .glob(let glob): glob.matches(name)
        }
    }

    /// By Unicode where the bytes are UTF-8, otherwise ASCII letters only.
    static func lowercased(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.contains(where: { $0 >= 0x80 }), let text = String(validating: bytes, as: UTF8.self) {
            return Array(text.lowercased().utf8)
        }
        return bytes.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
    }
}
