import CHawser
import Glibc
import HawserFormat

/// The answer for one name of a directory.
enum NameStatus: Sendable {
    case status(FileStatus)
    case failure(CallFailure)

    init(_ name: UnsafeBufferPointer<UInt8>, in directory: DirectoryHandle) {
        do throws(CallFailure) {
            self = .status(
                try name.withCString { name throws(CallFailure) in
                    try FileCalls.status(name, in: directory.descriptor)
                }
            )
        } catch {
            self = .failure(error)
        }
    }
}

/// One directory, opened and listed; when it was scanned ahead, also with the status of each name.
struct DirectoryScan: Sendable {
    let handle: DirectoryHandle
    /// `nil` when it has too many names to be scanned ahead.
    let listing: DirectoryListing?
    var statuses: [NameStatus] = []

    /// A symbolic link that took the directory's place is not followed.
    static func open(
        _ name: [UInt8],
        in parent: DirectoryHandle,
        pathOnly: Bool = false,
        following: Bool = false
    ) throws(CallFailure) -> DirectoryHandle {
        let descriptor = try withNullTerminated(name) { name throws(CallFailure) in
            var options = HAWSER_OPEN_DIRECTORY.rawValue
            options |= pathOnly ? HAWSER_OPEN_PATH_ONLY.rawValue : HAWSER_OPEN_NO_ATIME.rawValue
            if following { options |= HAWSER_OPEN_FOLLOW.rawValue }
            return try FileCalls.open(name, in: parent.descriptor, options)
        }
        return DirectoryHandle(adopting: descriptor)
    }

    init(_ handle: DirectoryHandle) throws(CallFailure) {
        self.handle = handle
        listing = try DirectoryListing(handle)
    }

    /// Opens, lists and asks for everything, for directories of at most `limit` names.
    init(ahead name: [UInt8], in parent: DirectoryHandle, limit: Int) throws(CallFailure) {
        handle = try Self.open(name, in: parent)
        listing = try DirectoryListing(handle, limit: limit)
        if let listing { statuses = Self.statuses(of: listing, 0..<listing.count, in: handle) }
    }

    static func statuses(of listing: DirectoryListing, _ range: Range<Int>, in handle: DirectoryHandle) -> [NameStatus]
    {
        range.map { index in listing.withName(index) { NameStatus($0, in: handle) } }
    }
}
