/// How a restore treats what is there already.
public struct RestoreOptions: Sendable {
    /// What happens to an entry whose place is taken. The words and their meaning are restic's.
    ///
    /// | existing | always | if-changed | if-newer | never |
    /// | --- | --- | --- | --- | --- |
    /// | file, size and mtime of the entry | replaced | kept, metadata updated | kept | kept |
    /// | file, other size or mtime | replaced | replaced | replaced when the entry's mtime is later | kept |
    /// | directory for a directory | updated | updated | updated | kept |
    /// | something else for a directory | replaced | replaced | replaced when later, else `conflict` | `conflict` |
    /// | directory for something else | replaced when empty or with `deletes`, else `conflict` | the same | the same | kept |
    ///
    /// A file that an interrupted restore left behind (see `RestoreTree`) is replaced under every policy.
    public enum Overwrite: String, Sendable, CaseIterable {
        case always
        case ifChanged = "if-changed"
        case ifNewer = "if-newer"
        case never
    }

    /// Who owns what is restored.
    public enum Ownership: Sendable {
        /// The numbers in the snapshot.
        case ids
        /// The accounts of the same names on this machine; where there is none, the numbers.
        case names
        /// Whoever runs the restore. Set-user-ID and set-group-ID bits of files are dropped.
        case unchanged
    }

    public var overwrite: Overwrite = .always
    public var ownership: Ownership = .ids
    /// Allows to remove what is not in the snapshot: by `RestoreDeletion`, and directories with content that stand
    /// in the place of something else.
    public var deletes = false
    /// `zero` extents become holes instead of allocated zeros.
    public var sparse = false
    /// Nothing is written; the results say what would happen.
    public var dryRun = false
    /// How many directories are kept open: 2 or more.
    public var openDirectories = 64

    public init() {}
}

/// What was done with an entry, or would be in a dry run.
public enum RestoreAction: String, Sendable {
    case created
    /// Something else was in its place.
    case replaced
    /// The content was right or not concerned; the metadata is set.
    case updated
    case kept
    case deleted
}

/// One kind of thing that could not be restored, for the whole run: what would otherwise be an error for every file.
public struct RestoreWarning: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// Owner or group differ: changing them needs privileges.
        case ownership
        /// Set-user-ID or set-group-ID bits were dropped, because the owner they belong to could not be set.
        case setIDBits = "set_id_bits"
        /// Extended attributes or ACLs that the file system does not have or that need privileges.
        case attributes
        /// Inode flags such as immutable that the file system does not have or that need privileges.
        case inodeFlags = "inode_flags"
    }

    public var kind: Kind
    public var count: Int
    /// The first entry it happened to.
    public var example: String
}
