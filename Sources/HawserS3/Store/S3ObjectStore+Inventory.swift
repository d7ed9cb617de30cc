import HawserFormat
import HawserStorage
import Synchronization

/// What a provider wants to know of a folder, and the store's own objects don't tell: everything that is billed.
extension S3ObjectStore {
    /// Whether the bucket keeps versions, or ever did.
    public func hasVersions() async throws -> Bool {
        do {
            return try await perform(VersioningOperation())
        } catch let error as HawserError where error.meaning == .notImplemented {
            return false
        }
    }

    /// All that lies below the folder, also what is none of the repository format, in the order of keys.
    ///
    /// - Parameters:
    ///   - prefix: of keys, below the folder.
    ///   - hasVersions: what `hasVersions()` said.
    public func inventory(prefix: String = "", hasVersions: Bool) -> StoreInventory {
        StoreInventory(store: self, prefix: prefix, hasVersions: hasVersions)
    }

    /// Multipart uploads below the folder that were not ended, page by page. A storage that has none of them has none.
    public func forEachPageOfUnfinishedUploads(_ body: ([UnfinishedUpload]) async throws -> Void) async throws {
        var walk = S3InventoryWalk<UnfinishedUpload>(folder: configuration.prefix)
        while !walk.isOver {
            let page: S3InventoryPage<UnfinishedUpload>
            do {
                page = try await perform(ListUploadsOperation(prefix: "", marker: walk.marker))
            } catch let error as HawserError where error.meaning == .notImplemented && walk.marker == nil {
                return
            }
            try await body(
                try walk.add(page).map { key, found in
                    var upload = found
                    upload.key = key
                    return upload
                }
            )
        }
    }

    /// Of its parts; none of one that was ended meanwhile.
    public func bytes(of upload: UnfinishedUpload) async throws -> Int {
        var (bytes, after) = (0, 0)
        do {
            while true {
                let page = try await perform(ListPartsOperation(key: upload.key, upload: upload.upload, after: after))
                bytes = min(bytes + page.bytes, 1 << 50)
                // Numbers of parts go up, or the list would have no end.
                guard let next = page.next, next > after else { return bytes }
                after = next
            }
        } catch let error as HawserError where error.meaning == .noObject || error.isMissingUpload {
            // It was ended meanwhile.
            return 0
        }
    }

    /// Takes away an upload and its parts; one that is gone is no error.
    public func abort(_ upload: UnfinishedUpload) async throws {
        do {
            try await perform(RemoveOperation(key: upload.key, what: .upload(upload.upload)))
        } catch let error as HawserError where error.meaning == .noObject || error.isMissingUpload {
            return
        }
    }

    /// Deletes these versions for good; what is gone is no error.
    ///
    /// - Throws: what went wrong with the first that could not be deleted; the others are gone.
    public func delete(_ versions: [StoredVersion]) async throws {
        var failure: HawserError?
        // What XML 1.0 can't say is deleted by a request of its own.
        let isPlain = { (version: StoredVersion) in version.key.unicodeScalars.allSatisfy { $0.value >= 0x20 } }
        let isSingle = versions.count == 1 || state.withLock { $0.deletesSingly }
        var singles = isSingle ? versions[...] : versions.filter { !isPlain($0) }[...]
        var rest = isSingle ? [] : versions.filter(isPlain)[...]
        while !rest.isEmpty {
            try Task.checkCancellation()
            let batch = rest.prefix(DeleteManyOperation.mostKeys)
            rest = rest.dropFirst(batch.count)
            do {
                let failures = try await perform(DeleteManyOperation(batch, folder: configuration.prefix))
                if let first = failures.first { failure = failure ?? error(first) }
            } catch let error as HawserError where error.meaning == .notImplemented {
                state.withLock { $0.deletesSingly = true }
                singles += batch + rest
                rest = []
            }
        }
        for version in singles {
            do {
                try await perform(RemoveOperation(key: version.key, what: .version(version.version)))
            } catch let error as HawserError where error.meaning == .noObject {
                continue
            }
        }
        if let failure { throw failure }
    }
}

extension HawserError {
    fileprivate var isMissingUpload: Bool { (cause as? S3Failure)?.code == "NoSuchUpload" }
}

/// Everything below a folder, page by page as it is read.
public struct StoreInventory: AsyncSequence, Sendable {
    public typealias Element = StoredVersion

    let store: S3ObjectStore
    let prefix: String
    let hasVersions: Bool

    public func makeAsyncIterator() -> Iterator {
        Iterator(inventory: self, walk: S3InventoryWalk(folder: store.configuration.prefix))
    }

    public struct Iterator: AsyncIteratorProtocol {
        let inventory: StoreInventory
        var walk: S3InventoryWalk<StoredVersion>
        var page: [StoredVersion] = []
        var index = 0

        init(inventory: StoreInventory, walk: S3InventoryWalk<StoredVersion>) {
            self.inventory = inventory
            self.walk = walk
        }

        public mutating func next() async throws -> StoredVersion? {
            while index == page.count {
                guard !walk.isOver else { return nil }
                let operation = InventoryOperation(
                    prefix: inventory.prefix,
                    hasVersions: inventory.hasVersions,
                    marker: walk.marker
                )
                page = try walk.add(try await inventory.store.perform(operation)).map { key, found in
                    var version = found
                    version.key = key
                    return version
                }
                index = 0
            }
            defer { index += 1 }
            return page[index]
        }
    }
}
