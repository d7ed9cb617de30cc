import HawserFormat

/// The metadata that an entry is to get, with its owner looked up.
struct RestoreMetadata {
    /// Permission, set-id and sticky bits.
    var mode: UInt16
    /// `nil`: stay what they are.
    var userID: UInt32?
    var groupID: UInt32?
    var modified: Timestamp
    var attributes: [ExtendedAttribute]
    /// `nil`: stay what they are.
    var inodeFlags: UInt32?

    init(_ entry: Entry, _ accounts: RestoreAccounts) {
        let owner = accounts.owner(of: entry)
        mode = entry.mode & 0o7777
        userID = owner?.user
        groupID = owner?.group
        modified = entry.modified
        attributes = entry.attributes
        inodeFlags = entry.inodeFlags
    }
}

extension RestoreMetadata {
    // Bits of FS_IOC_SETFLAGS (linux/fs.h).
    private static let synchronous: UInt32 = 0x8
    private static let immutable: UInt32 = 0x10
    private static let appendOnly: UInt32 = 0x20
    private static let noDump: UInt32 = 0x40
    private static let noAccessTime: UInt32 = 0x80
    private static let noCopyOnWrite: UInt32 = 0x80_0000

    /// Nothing can be changed any more once one of these is set.
    static let lockingFlags = immutable | appendOnly
    /// Only has an effect on files that are still empty.
    static let earlyFlags = noCopyOnWrite
    /// Those that are set at the end; all other bits belong to the file system.
    static let lateFlags = lockingFlags | synchronous | noDump | noAccessTime

    /// Without what `setMetadata` can't have set for want of privileges, which is a warning of its own.
    func attainable(by accounts: RestoreAccounts, on subject: RestoreTree.Subject) -> RestoreMetadata {
        var result = self
        let status = subject.status
        if userID == nil || (userID != status.userID && !accounts.isPrivileged) {
            result.userID = nil
            result.mode &= ~0o4000
        }
        let groupIsSet = groupID.map { $0 == status.groupID || accounts.canGive(to: $0) } ?? false
        if !groupIsSet {
            result.groupID = nil
            // On directories it only inherits, and stays.
            if subject.kind != .directory { result.mode &= ~0o2000 }
        }
        guard !accounts.isPrivileged else { return result }
        result.attributes.removeAll { $0.name.starts(with: "security.".utf8) || $0.name.starts(with: "trusted.".utf8) }
        result.inodeFlags = inodeFlags.map { $0 & ~Self.lockingFlags }
        return result
    }

    static let accessList = Array("system.posix_acl_access".utf8)
    static let defaultList = Array("system.posix_acl_default".utf8)

    /// Whether an attribute that an existing file has and the entry has not is removed: users' own, ACLs,
    /// capabilities. Labels of security modules stay.
    static func isOwned(_ name: some Collection<UInt8>) -> Bool {
        name.starts(with: "user.".utf8) || name.starts(with: "trusted.".utf8)
            || name.elementsEqual(accessList) || name.elementsEqual(defaultList)
            || name.elementsEqual("security.capability".utf8)
    }
}

extension RestoreMetadata {
    /// For the restore's own journal: not a format that lasts.
    func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: mode)
        Self.encode(userID, into: &bytes)
        Self.encode(groupID, into: &bytes)
        Self.encode(inodeFlags, into: &bytes)
        bytes.append(integer: modified.seconds)
        bytes.append(integer: modified.nanoseconds)
        bytes.append(varint: UInt64(attributes.count))
        for attribute in attributes {
            bytes.append(varint: UInt64(attribute.name.count))
            bytes += attribute.name
            bytes.append(varint: UInt64(attribute.value.count))
            bytes += attribute.value
        }
    }

    init(_ reader: inout ByteReader) throws {
        mode = try reader.read()
        userID = try Self.decode(&reader)
        groupID = try Self.decode(&reader)
        inodeFlags = try Self.decode(&reader)
        modified = try Timestamp(seconds: reader.read(), nanoseconds: reader.read())
        attributes = []
        for _ in try 0..<reader.readLength(limit: .max) {
            try attributes.append(
                ExtendedAttribute(
                    name: Array(reader.readBytes(limit: .max)),
                    value: Array(reader.readBytes(limit: .max))
                )
            )
        }
    }

    private static func encode(_ value: UInt32?, into bytes: inout [UInt8]) {
        bytes.append(value == nil ? 0 : 1)
        bytes.append(integer: value ?? 0)
    }

    private static func decode(_ reader: inout ByteReader) throws -> UInt32? {
        let isThere: UInt8 = try reader.read()
        let value: UInt32 = try reader.read()
        return isThere == 1 ? value : nil
    }
}
