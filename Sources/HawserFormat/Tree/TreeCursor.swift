/// A page that a reader has to fetch.
public struct PageReference: Hashable, Sendable {
    public var id: ChunkID
    /// What `TreePage.init(decoding:level:)` has to be told.
    public var level: Int
    /// The path of the first entry below; not known of the root.
    public var first: EntryPath?
    public var entryCount: UInt64
    public var byteCount: UInt64

    init(root: TreeRoot) {
        id = root.id
        level = root.height
        entryCount = root.entryCount
        byteCount = root.byteCount
    }

    init(_ child: TreeChild, level: Int) {
        id = child.id
        self.level = level
        first = child.first
        entryCount = child.entryCount
        byteCount = child.byteCount
    }
}

/// Walks a tree in order; the caller fetches the pages.
///
/// It stands before an entry, or before a page that it has not seen, or at the end. Pages that can't hold anything of
/// the scope are never asked for. Memory: the pages between the root and the position.
public struct TreeCursor: Sendable {
    public enum Position: Hashable, Sendable {
        /// Can transition to: any.
        case entry(Entry)
        /// `supply` leads into the page, `advance` past it. Can transition to: any.
        case page(PageReference)
        /// Stays.
        case end
    }

    public enum Step: Hashable, Sendable {
        case entry(Entry)
        /// Call `supply` with this page, then `next` again.
        case needsPage(PageReference)
        case end
    }

    /// A page on the way to the position. What it holds below `index` is done.
    private struct Frame {
        var page: TreePage
        var index = 0
        /// The first path behind everything below this page, if there is any.
        var upper: EntryPath?
    }

    public private(set) var position: Position = .end
    private var frames: [Frame] = []
    private var scope: PathScope
    /// The range in which the next entry lies, or the first behind it.
    private var rangeIndex = 0
    /// The first path behind all that is below the page at the position; `nil` when the tree ends with it.
    public private(set) var upper: EntryPath?

    public init(root: TreeRoot, scope: PathScope = .all) {
        self.scope = scope
        if !scope.ranges.isEmpty, (0...TreePage.maximumHeight).contains(root.height) {
            position = .page(PageReference(root: root))
        }
    }

    /// The next entry, the page that is needed to find it, or the end.
    public mutating func next() -> Step {
        switch position {
        case .entry(let entry):
            advance()
            return .entry(entry)
        case .page(let reference): return .needsPage(reference)
        case .end: return .end
        }
    }

    /// Leads into the page at the position.
    ///
    /// - Throws: `damaged` if it is not what the reference says: another level, first path or counts, or paths out of
    ///   the order of the tree. The position stays, and `advance` can skip the page.
    public mutating func supply(_ page: TreePage) throws {
        guard case .page(let reference) = position else {
            throw HawserError(.invalidArgument, "The cursor did not ask for a page.")
        }
        try check(page, against: reference)
        frames.append(Frame(page: page, upper: upper))
        settle()
    }

    /// Moves past the entry or the page, with all that is below it.
    public mutating func advance() {
        if frames.isEmpty {
            position = .end
        } else if position != .end {
            frames[frames.count - 1].index += 1
            settle()
        }
    }

    /// Moves forward to the first wanted path that is not before `path`; never back.
    public mutating func seek(to path: EntryPath) {
        scope = PathScope(scope.ranges[rangeIndex...]).from(path)
        rangeIndex = 0
        if scope.ranges.isEmpty {
            frames = []
            position = .end
        } else if !frames.isEmpty {
            settle()
        }
    }

    /// The pages that will be needed next, in that order, as far as they are known: the one at the position first.
    public func upcoming(_ limit: Int) -> [PageReference] {
        var result: [PageReference] = []
        if case .page(let reference) = position, limit > 0 { result.append(reference) }
        for frame in frames.reversed() {
            guard case .children(let children) = frame.page.items else { continue }
            // The child at `frame.index` is the position, or the page of the frame above.
            var index = frame.index + 1
            while index < children.count, result.count < limit {
                let end = index + 1 < children.count ? children[index + 1].first : frame.upper
                if scope.overlaps(children[index].first, end) {
                    result.append(PageReference(children[index], level: frame.page.level - 1))
                }
                index += 1
            }
        }
        return result
    }

    private func check(_ page: TreePage, against reference: PageReference) throws {
        let isEmptyTree = reference.first == nil && page.level == 0
        // Who names a root knows its id and level; what an inner page says of its children must be true.
        let isAsAnnounced =
            reference.first == nil
            || page.first == reference.first && page.entryCount == reference.entryCount
                && page.byteCount == reference.byteCount
        guard page.level == reference.level, isAsAnnounced, page.first != nil || isEmptyTree
        else {
            throw HawserError(.damaged, "A tree page is not the one that its place asks for.", place: reference.id.hex)
        }
        // With the first path checked as well, this holds the order of the entries over all pages.
        if let last = page.last, let upper, last >= upper {
            throw HawserError(.damaged, "The pages of a tree are not in order.", place: reference.id.hex)
        }
    }

    /// Finds the position from the top frame on: the first item at its index or behind that is in the scope.
    private mutating func settle() {
        while let frame = frames.last, rangeIndex < scope.ranges.count {
            let range = scope.ranges[rangeIndex]
            let index = frame.page.index(reaching: range.lower, from: frame.index)
            guard index < frame.page.count, frame.upper.map({ range.lower < $0 }) ?? true else {
                leaveFrame()
                continue
            }
            frames[frames.count - 1].index = index
            if let end = range.upper, end <= frame.page.path(at: index) {
                rangeIndex += 1
                continue
            }
            switch frame.page.items {
            case .entries(let entries):
                position = .entry(entries[index])
            case .children(let children):
                position = .page(PageReference(children[index], level: frame.page.level - 1))
                upper = index + 1 < children.count ? children[index + 1].first : frame.upper
            }
            return
        }
        frames = []
        position = .end
    }

    private mutating func leaveFrame() {
        frames.removeLast()
        if !frames.isEmpty { frames[frames.count - 1].index += 1 }
    }
}

extension TreePage {
    fileprivate var count: Int {
        switch items {
        case .entries(let entries): entries.count
        case .children(let children): children.count
        }
    }

    fileprivate func path(at index: Int) -> EntryPath {
        switch items {
        case .entries(let entries): entries[index].path
        case .children(let children): children[index].first
        }
    }

    /// The first item at `index` or behind that is, or can have below it, something at `path` or behind.
    fileprivate func index(reaching path: EntryPath, from index: Int) -> Int {
        switch items {
        case .entries(let entries):
            if index < entries.count, path <= entries[index].path { return index }
            return max(index, entries.partitionPoint { $0.path < path })
        case .children(let children):
            if index < children.count, path <= children[index].first { return index }
            return max(index, children.partitionPoint { $0.first <= path } - 1)
        }
    }
}
