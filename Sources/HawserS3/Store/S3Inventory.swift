public import HawserFormat

/// Something below a store's folder that the storage bills, whatever its name: an object, one of its versions, or the mark
/// that stands for a deleted one.
public struct StoredVersion: Sendable, Hashable {
    /// Below the folder. Bytes that are no UTF-8 are shown as U+FFFD; such an object counts, and can't be deleted by this.
    public var key: String
    /// `nil` in a bucket without versions.
    public var version: String?
    /// 0 for a delete marker.
    public var length: Int
    public var stored: Timestamp?
    public var isDeleteMarker: Bool

    public init(
        key: String,
        version: String? = nil,
        length: Int,
        stored: Timestamp? = nil,
        isDeleteMarker: Bool = false
    ) {
        self.key = key
        self.version = version
        self.length = length
        self.stored = stored
        self.isDeleteMarker = isDeleteMarker
    }
}

/// A multipart upload that was begun and not ended: its parts are billed.
public struct UnfinishedUpload: Sendable, Hashable {
    /// Below the folder.
    public var key: String
    public var upload: String
    public var begun: Timestamp?
}

/// One page of any list below a folder: what the storage gave, and where it goes on.
struct S3InventoryPage<Item: Sendable>: Sendable {
    struct Entry: Sendable {
        /// From the bucket's root.
        var key: [UInt8]
        /// Of a version or upload.
        var id: String?
        var item: Item
    }

    var entries: [Entry]
    /// Where the next page begins; `nil`: this is the last.
    var next: S3Marker?
}

/// Where a page begins.
struct S3Marker: Sendable, Hashable {
    /// A token of ListObjectsV2, or a key.
    var key: String
    var id: String?
}

/// Follows the pages of a list to its end. Pure: the owner asks.
///
/// A storage that goes back, or leads nowhere, is an error: nobody is to be kept busy for ever.
struct S3InventoryWalk<Item: Sendable> {
    // Pages in a row without a new key: a million versions of one, or of markers that the list leaves out.
    private static var mostIdlePages: Int { 1_000 }

    private let folder: [UInt8]
    private(set) var marker: S3Marker?
    private(set) var isOver = false
    private var last: (key: [UInt8], id: String?)?
    private var idlePages = 0

    init(folder: String) {
        self.folder = Array(folder.utf8)
    }

    /// Takes the answer to the request for `marker`. Returns keys below the folder, and what they are.
    mutating func add(_ page: S3InventoryPage<Item>) throws -> [(key: String, item: Item)] {
        var found: [(key: String, item: Item)] = []
        let before = last?.key
        for entry in page.entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            guard entry.key.starts(with: folder) else { throw stray }
            if let last {
                if entry.key == last.key, entry.id == last.id { continue }
                guard !entry.key.lexicographicallyPrecedes(last.key) else { throw stray }
            }
            last = (entry.key, entry.id)
            found.append((String(decoding: entry.key.dropFirst(folder.count), as: UTF8.self), entry.item))
        }
        guard let next = page.next else {
            isOver = true
            return found
        }
        idlePages = last?.key == before ? idlePages + 1 : 0
        guard next != marker, idlePages <= Self.mostIdlePages else { throw stray }
        marker = next
        return found
    }

    private var stray: HawserError {
        HawserError(
            .unavailable,
            "The storage's list can't be followed: it repeats itself, is out of order, or shows what was not asked for.",
            place: last.map { String(decoding: $0.key, as: UTF8.self) }
        )
    }
}
