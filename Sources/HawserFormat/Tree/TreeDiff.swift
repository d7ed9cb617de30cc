/// Compares two trees and never fetches pages that are equal in both.
public struct TreeDiff: Sendable {
    public enum Side: Hashable, Sendable {
        case old
        case new
    }

    public enum Change: Hashable, Sendable {
        case added(Entry)
        case removed(Entry)
        /// Any field differs.
        case changed(old: Entry, new: Entry)

        public var path: EntryPath {
            switch self {
            case .added(let entry), .removed(let entry), .changed(_, let entry): entry.path
            }
        }
    }

    public enum Step: Hashable, Sendable {
        /// In ascending order of paths.
        case change(Change)
        /// Call `supply` with this page, then `next` again.
        case needsPage(Side, PageReference)
        case end
    }

    private var old: TreeCursor
    private var new: TreeCursor

    public init(old: TreeRoot, new: TreeRoot, scope: PathScope = .all) {
        self.old = TreeCursor(root: old, scope: scope)
        self.new = TreeCursor(root: new, scope: scope)
    }

    /// - Throws: as `TreeCursor.supply`.
    public mutating func supply(_ page: TreePage, to side: Side) throws {
        switch side {
        case .old: try old.supply(page)
        case .new: try new.supply(page)
        }
    }

    /// Leaves the page that `next` asked for out of the comparison, for instance because it is damaged: what the
    /// other tree has there is reported as added or removed.
    public mutating func skipPage(of side: Side) {
        switch side {
        case .old: if case .page = old.position { old.advance() }
        case .new: if case .page = new.position { new.advance() }
        }
    }

    public mutating func next() -> Step {
        while true {
            switch (old.position, new.position) {
            case (.end, .end):
                return .end
            case (.page(let left), .page(let right)):
                if left.id == right.id, left.level == right.level {
                    old.advance()
                    new.advance()
                    continue
                }
                return Self.goesFirst(left, right) ? .needsPage(.old, left) : .needsPage(.new, right)
            case (.page(let left), .entry(let entry)) where entry.path < left.first ?? .root:
                return added(entry)
            case (.entry(let entry), .page(let right)) where entry.path < right.first ?? .root:
                return removed(entry)
            case (.page(let left), _):
                return .needsPage(.old, left)
            case (_, .page(let right)):
                return .needsPage(.new, right)
            case (.entry(let entry), .end):
                return removed(entry)
            case (.end, .entry(let entry)):
                return added(entry)
            case (.entry(let left), .entry(let right)):
                if left.path < right.path { return removed(left) }
                if right.path < left.path { return added(right) }
                old.advance()
                new.advance()
                if left != right { return .change(.changed(old: left, new: right)) }
            }
        }
    }

    /// The pages that are likely to be needed next, without those that both trees have.
    public func upcoming(_ limit: Int) -> [(side: Side, page: PageReference)] {
        let left = old.upcoming(limit)
        let right = new.upcoming(limit)
        let common = Set(left.map(\.id)).intersection(right.map(\.id))
        let pages = left.map { (side: Side.old, page: $0) } + right.map { (side: Side.new, page: $0) }
        let wanted = pages.filter { !common.contains($0.page.id) }
            .sorted { $0.page.first ?? .root < $1.page.first ?? .root }
        return Array(wanted.prefix(limit))
    }

    /// Whether the left of two different pages has to be opened first. One that begins earlier can't be equal to any
    /// page of the other tree from here on; of two that begin together, the higher one can hold the other.
    private static func goesFirst(_ left: PageReference, _ right: PageReference) -> Bool {
        let (leftFirst, rightFirst) = (left.first ?? .root, right.first ?? .root)
        return leftFirst == rightFirst ? left.level >= right.level : leftFirst < rightFirst
    }

    private mutating func added(_ entry: Entry) -> Step {
        new.advance()
        return .change(.added(entry))
    }

    private mutating func removed(_ entry: Entry) -> Step {
        old.advance()
        return .change(.removed(entry))
    }
}
