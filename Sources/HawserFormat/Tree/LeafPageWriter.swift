/// User and group of an entry: each pair is stored once in a page.
struct EntryOwner: Hashable {
    var userID: UInt32
    var userName: [UInt8]
    var groupID: UInt32
    var groupName: [UInt8]
}

/// The first two bytes of an entry.
enum EntryHead {
    static let modeMask: UInt16 = 0x0fff
    static let kindShift: UInt16 = 12
    static let kindMask: UInt16 = 7
    /// The entry's parent directory follows: it is not that of the entry before.
    static let newParent: UInt16 = 0x8000
}

/// The open page of entries: encodes entries one by one into a growing buffer.
struct LeafPageWriter: Sendable {
    private var body: [UInt8] = []
    private var owners: [UInt8] = []
    private var ownerIndex: [EntryOwner: Int] = [:]
    private var lastOwner: (owner: EntryOwner, index: Int)?
    private var parent: ArraySlice<UInt8> = []
    private var fields = EntryFieldWriter()
    private(set) var first = EntryPath.root
    private(set) var entryCount = 0
    private(set) var byteCount: UInt64 = 0

    /// Of the table of owners and the entries: what the length limit counts.
    var length: Int { owners.count + body.count }

    /// - Throws: `invalidArgument` if the entry can't be stored; the page is then unchanged.
    mutating func append(_ entry: Entry) throws {
        if entry.attributes.count > 1, !entry.attributes.areCanonical {
            var sorted = entry
            sorted.attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
            return try write(sorted)
        }
        try write(entry)
    }

    private mutating func write(_ entry: Entry) throws {
        if let rule = entry.brokenRule() {
            throw HawserError(.invalidArgument, "This entry can't be stored: \(rule).", place: entry.path.description)
        }
        let (newParent, name) = entry.path.split()
        let isNewRun = entryCount == 0 || newParent != parent
        if entryCount == 0 { first = entry.path }
        body.append(
            integer: entry.mode | UInt16(entry.kind.rawValue) << EntryHead.kindShift
                | (isNewRun ? EntryHead.newParent : 0)
        )
        if isNewRun {
            parent = newParent
            body.append(counted: newParent)
        }
        body.append(counted: name)
        body.append(varint: UInt64(index(ofOwnerOf: entry)))
        body.append(varint: entry.size)
        body.append(timestamp: entry.modified)
        body.append(timestamp: entry.changed)
        body.append(varint: entry.inode)
        fields.append(fieldsOf: entry, to: &body)
        entryCount += 1
        byteCount = byteCount.addingSaturated(entry.size)
    }

    private mutating func index(ofOwnerOf entry: Entry) -> Int {
        let owner = EntryOwner(
            userID: entry.userID,
            userName: entry.userName,
            groupID: entry.groupID,
            groupName: entry.groupName
        )
        if let lastOwner, lastOwner.owner == owner { return lastOwner.index }
        let index = ownerIndex[owner] ?? ownerIndex.count
        if index == ownerIndex.count {
            ownerIndex[owner] = index
            owners.append(varint: UInt64(owner.userID))
            owners.append(counted: owner.userName)
            owners.append(varint: UInt64(owner.groupID))
            owners.append(counted: owner.groupName)
        }
        lastOwner = (owner, index)
        return index
    }

    /// The page's bytes; the writer is ready for the next page.
    mutating func finish() -> [UInt8] {
        var page: [UInt8] = [TreePage.version, 0]
        page.reserveCapacity(length + 16)
        page.append(varint: UInt64(entryCount))
        page.append(varint: UInt64(ownerIndex.count))
        page += owners
        page += body
        body.removeAll(keepingCapacity: true)
        owners.removeAll(keepingCapacity: true)
        ownerIndex.removeAll(keepingCapacity: true)
        lastOwner = nil
        parent = []
        entryCount = 0
        byteCount = 0
        return page
    }
}

extension EntryPath {
    /// The parent's bytes and the name; both empty for the root.
    func split() -> (parent: ArraySlice<UInt8>, name: ArraySlice<UInt8>) {
        guard let slash = bytes.lastIndex(of: Self.slash) else { return ([], bytes[...]) }
        return (bytes[..<slash], bytes[(slash + 1)...])
    }
}
