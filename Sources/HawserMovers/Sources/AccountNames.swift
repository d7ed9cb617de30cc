import Glibc
import HawserFormat
import Synchronization

/// The names of users and groups, each asked for once: the answer can come from the network.
final class AccountNames: Sendable {
    private struct Known {
        var users: [UInt32: [UInt8]] = [:]
        var groups: [UInt32: [UInt8]] = [:]
    }

    private let known = Mutex(Known())

    /// Empty where the system has no name.
    func names(user: UInt32, group: UInt32) -> (user: [UInt8], group: [UInt8]) {
        known.withLock { known in
            (
                Self.cached(user, in: &known.users, find: Self.userName),
                Self.cached(group, in: &known.groups, find: Self.groupName)
            )
        }
    }

    private static func cached(_ id: UInt32, in names: inout [UInt32: [UInt8]], find: (UInt32) -> [UInt8]) -> [UInt8] {
        if let name = names[id] { return name }
        let name = find(id)
        names[id] = name
        return name
    }

    private static func userName(_ id: UInt32) -> [UInt8] {
        withGrowingBuffer { buffer in
            var record = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = buffer.baseAddress.map { getpwuid_r(id, &record, $0, buffer.count, &found) } ?? ERANGE
            return (code, found.map { bytes($0.pointee.pw_name) })
        }
    }

    private static func groupName(_ id: UInt32) -> [UInt8] {
        withGrowingBuffer { buffer in
            var record = group()
            var found: UnsafeMutablePointer<group>?
            let code = buffer.baseAddress.map { getgrgid_r(id, &record, $0, buffer.count, &found) } ?? ERANGE
            return (code, found.map { bytes($0.pointee.gr_name) })
        }
    }

    private static func bytes(_ name: UnsafeMutablePointer<CChar>?) -> [UInt8] {
        guard let name else { return [] }
        return Array(UnsafeRawBufferPointer(start: name, count: strlen(name)))
    }

    private static func withGrowingBuffer(
        _ call: (UnsafeMutableBufferPointer<CChar>) -> (code: Int32, name: [UInt8]?)
    ) -> [UInt8] {
        // Records of a few hundred bytes; a group with very many members can be larger than a megabyte, and then has no name.
        for capacity in [1 << 12, 1 << 16, 1 << 20] {
            let (code, name) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity, call)
            if code != ERANGE { return name ?? [] }
        }
        return []
    }
}
