import HawserFormat
import Synchronization

extension FolderStore {
    enum PlacementOutcome: Hashable {
        /// The object has its name; the temporary name is still there.
        case linked
        /// The object has its name; the temporary name is gone.
        case renamed
        /// The name is taken by another file.
        case existed
        case folderGone
    }

    /// Gives a synced temporary file its final name, without replacing.
    func place(
        _ file: borrowing TemporaryFile,
        in temporary: borrowing Descriptor,
        as name: String,
        in folder: borrowing Descriptor
    ) throws(SystemError) -> PlacementOutcome {
        switch state.withLock({ $0.placement }) {
        case .link:
            do {
                try temporary.link(file.name, to: folder, as: name)
                return .linked
            } catch {
                let before = try file.descriptor.status()
                let there = try folder.status(of: name)
                if let outcome = Self.settle(error, temporary: before, there: there) { return outcome }
                guard error.isLinkUnsupported else { throw error }
                state.withLock { $0.placement = .lockedRename }
                return try renameUnderLock(file.name, in: temporary, as: name, in: folder)
            }
        case .lockedRename:
            return try renameUnderLock(file.name, in: temporary, as: name, in: folder)
        }
    }

    /// What a failed `link` has done. An answer that was lost on the network shows as an error although the link was
    /// made: then the temporary file has two names, or is the file that is there. `nil`: nothing was done.
    static func settle(_ error: SystemError, temporary: FileStatus, there: FileStatus?) -> PlacementOutcome? {
        if let there, temporary.isSameFile(as: there) { return .linked }
        if error.exists { return temporary.linkCount > 1 ? .linked : .existed }
        if error.isNotFound { return .folderGone }
        return nil
    }

    private func renameUnderLock(
        _ temporaryName: String,
        in temporary: borrowing Descriptor,
        as name: String,
        in folder: borrowing Descriptor
    ) throws(SystemError) -> PlacementOutcome {
        let lock = try temporary.lockFile(Self.lockName)
        // Held to the end of the scope.
        defer { _ = lock }
        if try folder.status(of: name) != nil { return .existed }
        do {
            try temporary.rename(temporaryName, to: folder, as: name)
            return .renamed
        } catch {
            if error.isNotFound { return .folderGone }
            throw error
        }
    }
}
