/// Decodes what `LeafPageWriter` writes behind version and level, and refuses everything else.
struct LeafPageReader {
    /// Head, name length, owner, size, two times, inode and the number of fields: no entry is shorter.
    private static let minimumEntryLength = 2 + 1 + 1 + 1 + 5 + 5 + 1 + 1

    private var owners: [EntryOwner]
    private var ownersUsed = 0
    private var parent: ArraySlice<UInt8> = []

    static func read(_ reader: inout ByteReader) throws -> [Entry] {
        let count = try reader.readLength(limit: reader.remaining / minimumEntryLength)
        var decoder = LeafPageReader(owners: try readOwners(&reader, entryCount: count))
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        for index in 0..<count {
            let entry = try decoder.readEntry(&reader, isFirst: index == 0)
            if let last = entries.last, !(last.path < entry.path) {
                throw HawserError(.damaged, "The entries of a tree page are not in order.")
            }
            if let rule = entry.brokenRule() {
                throw HawserError(.damaged, "An entry is not valid: \(rule).", place: entry.path.description)
            }
            entries.append(entry)
        }
        guard reader.isAtEnd, decoder.ownersUsed == decoder.owners.count else {
            throw HawserError(.damaged, "A tree page holds more than its entries.")
        }
        return entries
    }

    private static func readOwners(_ reader: inout ByteReader, entryCount: Int) throws -> [EntryOwner] {
        let count = try reader.readLength(limit: entryCount)
        var owners: [EntryOwner] = []
        var known: Set<EntryOwner> = []
        for _ in 0..<count {
            let userID = try reader.readUInt32()
            let userName = Array(try reader.readBytes(limit: Entry.ownerNameLimit))
            let groupID = try reader.readUInt32()
            let groupName = Array(try reader.readBytes(limit: Entry.ownerNameLimit))
            let owner = EntryOwner(userID: userID, userName: userName, groupID: groupID, groupName: groupName)
            guard known.insert(owner).inserted else { throw HawserError(.damaged, "A tree page names an owner twice.") }
            owners.append(owner)
        }
        return owners
    }

    private mutating func readEntry(_ reader: inout ByteReader, isFirst: Bool) throws -> Entry {
        let head: UInt16 = try reader.read()
        guard let kind = Entry.Kind(rawValue: UInt8(head >> EntryHead.kindShift & EntryHead.kindMask)) else {
            throw HawserError(.damaged, "An entry is of an unknown kind.")
        }
        try readParent(&reader, isNew: head & EntryHead.newParent != 0, isFirst: isFirst)
        var entry = Entry(path: try readPath(&reader), kind: kind)
        entry.mode = head & EntryHead.modeMask
        let owner = owners[try readOwnerIndex(&reader)]
        entry.userID = owner.userID
        entry.userName = owner.userName
        entry.groupID = owner.groupID
        entry.groupName = owner.groupName
        entry.size = try reader.readVarint()
        entry.modified = try reader.readTimestamp()
        entry.changed = try reader.readTimestamp()
        entry.inode = try reader.readVarint()
        try entry.readFields(from: &reader)
        return entry
    }

    private mutating func readParent(_ reader: inout ByteReader, isNew: Bool, isFirst: Bool) throws {
        guard isNew else {
            if isFirst { throw HawserError(.damaged, "A tree page begins without a directory.") }
            return
        }
        let new = try reader.readBytes(limit: Entry.pathLimit)
        guard EntryPath.isValidPath(new), isFirst || new != parent else {
            throw HawserError(.damaged, "The directory of an entry is not valid.")
        }
        parent = new
    }

    private func readPath(_ reader: inout ByteReader) throws -> EntryPath {
        let name = try reader.readBytes(limit: Entry.pathLimit)
        if parent.isEmpty {
            // The root has no name; the order of entries allows it as the first of the tree only.
            guard name.isEmpty || EntryPath.isValidName(name) else {
                throw HawserError(.damaged, "The name of an entry is not valid.")
            }
            return EntryPath(unchecked: Array(name))
        }
        guard EntryPath.isValidName(name) else { throw HawserError(.damaged, "The name of an entry is not valid.") }
        return EntryPath(unchecked: EntryPath.join(parent, name))
    }

    /// Owners are in the order of their first use.
    private mutating func readOwnerIndex(_ reader: inout ByteReader) throws -> Int {
        let index = try reader.readLength(limit: ownersUsed)
        guard index < owners.count else { throw HawserError(.damaged, "An entry has no owner.") }
        if index == ownersUsed { ownersUsed += 1 }
        return index
    }
}
