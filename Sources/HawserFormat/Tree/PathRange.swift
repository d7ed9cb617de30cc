/// The paths from `lower` up to, but not including, `upper`, in the order of `EntryPath`.
public struct PathRange: Hashable, Sendable {
    public var lower: EntryPath
    /// `nil`: up to the end.
    public var upper: EntryPath?

    public init(lower: EntryPath, upper: EntryPath?) {
        self.lower = lower
        self.upper = upper
    }

    public static let all = PathRange(lower: .root, upper: nil)

    /// The one path.
    public static func only(_ path: EntryPath) -> PathRange {
        if path.isRoot { return PathRange(lower: .root, upper: EntryPath(unchecked: [lowestByte])) }
        return PathRange(lower: path, upper: EntryPath(unchecked: path.bytes + [lowestByte]))
    }

    /// Everything below `path`, without the path itself.
    public static func below(_ path: EntryPath) -> PathRange {
        let lower = path.appending(CollectionOfOne(lowestByte))
        if path.isRoot { return PathRange(lower: lower, upper: nil) }
        // No directory comes between those in `path` and the one called as it with the lowest byte behind.
        return PathRange(
            lower: lower,
            upper: EntryPath(unchecked: path.bytes + [lowestByte, EntryPath.slash, lowestByte])
        )
    }

    /// The entries of the directory `path` itself, without what is below them.
    public static func children(of path: EntryPath) -> PathRange {
        let lower = path.appending(CollectionOfOne(lowestByte))
        // Behind a directory's entries comes the first entry that its first possible subdirectory can have.
        return PathRange(lower: lower, upper: lower.appending(CollectionOfOne(lowestByte)))
    }

    public func contains(_ path: EntryPath) -> Bool {
        lower <= path && upper.map { path < $0 } ?? true
    }

    public var isEmpty: Bool { upper.map { $0 <= lower } ?? false }

    /// Names hold no NUL.
    private static let lowestByte: UInt8 = 1
}

/// Disjoint ranges in ascending order: what part of a tree is wanted.
public struct PathScope: Hashable, Sendable {
    public private(set) var ranges: [PathRange]

    public static let all = PathScope([.all])

    /// Empty and overlapping ranges are allowed; they are sorted and joined.
    public init(_ ranges: some Sequence<PathRange>) {
        self.ranges = []
        for range in ranges.filter({ !$0.isEmpty }).sorted(by: { $0.lower < $1.lower }) {
            guard let last = self.ranges.last, last.upper.map({ range.lower <= $0 }) ?? true else {
                self.ranges.append(range)
                continue
            }
            self.ranges[self.ranges.count - 1].upper = Self.later(last.upper, range.upper)
        }
    }

    /// The paths and everything below each.
    ///
    /// - Parameter ancestors: whether the directories above them are wanted too.
    public init(subtrees: some Sequence<EntryPath>, ancestors: Bool = false) {
        var ranges: [PathRange] = []
        for path in subtrees {
            ranges += [.only(path), .below(path)]
            var parent = ancestors ? path.parent : nil
            while let directory = parent {
                ranges.append(.only(directory))
                parent = directory.parent
            }
        }
        self.init(ranges)
    }

    public func contains(_ path: EntryPath) -> Bool {
        let index = ranges.partitionPoint { $0.lower <= path }
        return index > 0 && ranges[index - 1].contains(path)
    }

    /// The part from `path` on.
    public func from(_ path: EntryPath) -> PathScope {
        PathScope(ranges.map { PathRange(lower: max($0.lower, path), upper: $0.upper) })
    }

    /// Whether any path of `lower ..< upper` is wanted.
    func overlaps(_ lower: EntryPath, _ upper: EntryPath?) -> Bool {
        // The first range that ends behind `lower`.
        let index = ranges.partitionPoint { $0.upper.map { $0 <= lower } ?? false }
        guard index < ranges.count else { return false }
        return upper.map { ranges[index].lower < $0 } ?? true
    }

    private static func later(_ left: EntryPath?, _ right: EntryPath?) -> EntryPath? {
        guard let left, let right else { return nil }
        return max(left, right)
    }
}
