import Glibc
import HawserFormat
import Synchronization

/// Decides who is to own an entry, and what the process is allowed to change.
final class RestoreAccounts: Sendable {
    private struct Name: Hashable {
        var isGroup: Bool
        var bytes: [UInt8]
    }

    /// Names come from the snapshot, whose author may have invented millions.
    private static let nameLimit = 4096
    /// Enough for an account's line; a longer one counts as unknown.
    private static let lineLimit = 64 << 10

    let isPrivileged: Bool
    let userID: UInt32
    private let ownership: RestoreOptions.Ownership
    private let ownGroups: Set<UInt32>
    private let names = Mutex<[Name: UInt32?]>([:])

    init(_ ownership: RestoreOptions.Ownership) {
        self.ownership = ownership
        userID = geteuid()
        isPrivileged = userID == 0
        var groups = [gid_t](repeating: 0, count: max(Int(getgroups(0, nil)), 0))
        let count = getgroups(Int32(groups.count), &groups)
        ownGroups = Set(groups.prefix(max(Int(count), 0))).union([getegid()])
    }

    /// `nil` when the owner is to stay what it is.
    func owner(of entry: Entry) -> (user: UInt32, group: UInt32)? {
        switch ownership {
        case .ids: (entry.userID, entry.groupID)
        case .names:
            (
                lookUp(Name(isGroup: false, bytes: entry.userName)) { name, buffer in
                    var account = passwd()
                    var found: UnsafeMutablePointer<passwd>?
                    getpwnam_r(name, &account, buffer, Self.lineLimit, &found)
                    return found?.pointee.pw_uid
                } ?? entry.userID,
                lookUp(Name(isGroup: true, bytes: entry.groupName)) { name, buffer in
                    var account = group()
                    var found: UnsafeMutablePointer<group>?
                    getgrnam_r(name, &account, buffer, Self.lineLimit, &found)
                    return found?.pointee.gr_gid
                } ?? entry.groupID
            )
        case .unchanged: nil
        }
    }

    /// Whether a file of this process may be given to the group.
    func canGive(to group: UInt32) -> Bool {
        isPrivileged || ownGroups.contains(group)
    }

    private func lookUp(
        _ name: Name,
        _ search: (UnsafePointer<CChar>, UnsafeMutablePointer<CChar>) -> UInt32?
    ) -> UInt32? {
        if name.bytes.isEmpty || name.bytes.contains(0) { return nil }
        if let known = names.withLock({ $0[name] }) { return known }
        let found = name.bytes[...].withCString { text in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: Self.lineLimit) {
                search(text, $0.baseAddress.unsafelyUnwrapped)
            }
        }
        names.withLock {
            if $0.count >= Self.nameLimit { $0.removeAll() }
            $0[name] = .some(found)
        }
        return found
    }
}
