import HawserFormat
import Synchronization

extension FolderStore {
    func deleteNow(_ keys: [ObjectKey], _ abandonment: Abandonment) throws {
        var firstError: HawserError?
        for (folder, keys) in Dictionary(grouping: keys, by: { FileLocation($0).folder }) {
            try abandonment.check()
            do {
                try delete(keys, in: folder, &firstError)
            } catch {
                if error.isNotFound { continue }
                firstError = firstError ?? error.storageError(place: absolute(folder))
            }
        }
        if let firstError { throw firstError }
    }

    private func delete(
        _ keys: [ObjectKey],
        in path: String,
        _ firstError: inout HawserError?
    ) throws(SystemError) {
        let folder = try openFolder(path)
        var isChanged = false
        for key in keys {
            do {
                try folder.removeFile(FileLocation(key).name)
                isChanged = true
            } catch {
                if error.isNotFound { continue }
                firstError = firstError ?? error.storageError(place: absolute(key.path))
            }
        }
        if isChanged { try folder.synchronizeFolder() }
        if keys.first?.kind == .refs { removeIfEmpty(path) }
    }

    /// Only folders of which any number can come: the 256 of packs are used again.
    private func removeIfEmpty(_ path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        state.withLock { _ = $0.durableFolders.remove(path + "/") }
        // A folder that stays, because it is not empty or for any other reason, harms nobody.
        try? openFolder(String(path[..<slash])).removeFolder(String(path[path.index(after: slash)...]))
    }

    /// No object takes a day to be written.
    public static let staleAge = Duration.seconds(86_400)

    /// Removes what killed runs left in `tmp/`. Returns how many files.
    /// - Parameter age: since their last change, by the clock of the file system, which the file server keeps.
    @discardableResult
    public func removeStaleTemporaryFiles(olderThan age: Duration = staleAge) async throws -> Int {
        try await perform(place: Self.temporaryFolder) { store, abandonment in
            try store.removeStaleNow(age, abandonment)
        }
    }

    func removeStaleNow(_ age: Duration, _ abandonment: Abandonment) throws -> Int {
        let folder: Descriptor
        do {
            folder = try openFolder(Self.temporaryFolder)
        } catch {
            if error.isNotFound { return 0 }
            throw error
        }
        let probe = Self.temporaryName()
        var names: [String] = []
        try folder.forEachName { bytes, _, canBeFile in
            guard canBeFile, bytes.count == probe.utf8.count else { return }
            let name = String(decoding: bytes, as: UTF8.self)
            if [UInt8](hex: name) != nil { names.append(name) }
        }
        if names.isEmpty { return 0 }
        let now = try folder.newFile(probe).status().modified
        try folder.removeFile(probe)

        var removed = 0
        for name in names {
            try abandonment.check()
            guard let status = try folder.status(of: name), status.isRegular else { continue }
            // Both are clock readings of this century or damage; neither may overflow.
            let (elapsed, isOverflow) = now.seconds.subtractingReportingOverflow(status.modified.seconds)
            guard !isOverflow, elapsed >= 0, .seconds(elapsed) >= age else { continue }
            try folder.removeFile(name)
            removed += 1
        }
        return removed
    }
}
