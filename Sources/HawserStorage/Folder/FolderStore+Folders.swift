import HawserFormat
import Synchronization

/// Where the file of an object lies.
struct FileLocation {
    /// The folder, relative to the root; not empty.
    let folder: String
    let name: String

    init(_ key: ObjectKey) {
        let path = key.path
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        folder = String(path[..<slash])
        name = String(path[path.index(after: slash)...])
    }
}

extension FolderStore {
    /// Component by component, so that no symbolic link is followed.
    func openFolder(_ path: String) throws(SystemError) -> Descriptor {
        try openFolder(path.split(separator: "/")[...], below: root)
    }

    private func openFolder(
        _ components: ArraySlice<Substring>,
        below parent: borrowing Descriptor
    ) throws(SystemError) -> Descriptor {
        let folder = try parent.folder(components.first.map(String.init) ?? ".")
        let rest = components.dropFirst()
        return rest.isEmpty ? folder : try openFolder(rest, below: folder)
    }

    /// Makes what is missing; when it returns, the folder's name is durable.
    func openOrMakeFolder(_ path: String) throws(SystemError) -> Descriptor {
        try openOrMakeFolder(path.split(separator: "/")[...], below: root, parentPath: "")
    }

    private func openOrMakeFolder(
        _ components: ArraySlice<Substring>,
        below parent: borrowing Descriptor,
        parentPath: String
    ) throws(SystemError) -> Descriptor {
        let name = components.first.map(String.init) ?? "."
        let path = parentPath + name + "/"
        let folder = try openOrMakeFolder(name, path: path, in: parent)
        let rest = components.dropFirst()
        return rest.isEmpty ? folder : try openOrMakeFolder(rest, below: folder, parentPath: path)
    }

    private func openOrMakeFolder(
        _ name: String,
        path: String,
        in parent: borrowing Descriptor
    ) throws(SystemError) -> Descriptor {
        var isMade = false
        var attempts = 0
        while true {
            do {
                let folder = try parent.folder(name)
                // Also when it was there: who made it may have been killed before the sync.
                if isMade || !state.withLock({ $0.durableFolders.contains(path) }) {
                    try parent.synchronizeFolder()
                    _ = state.withLock { $0.durableFolders.insert(path) }
                }
                return folder
            } catch {
                // A deletion elsewhere may remove it again before it is opened.
                attempts += 1
                guard error.isNotFound, attempts <= Self.raceLimit else { throw error }
            }
            do {
                try parent.makeFolder(name)
                isMade = true
            } catch {
                guard error.exists else { throw error }
            }
        }
    }

    // Each round means that another process removed an empty folder in the microseconds since it was made; more than a
    // few can't be chance.
    static let raceLimit = 16
}
