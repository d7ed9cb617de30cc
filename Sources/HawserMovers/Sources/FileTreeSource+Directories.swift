import CHawser
import Glibc
import HawserFormat

extension FileTreeSource {
    static func openRoot(pathOnly: Bool) throws(CallFailure) -> DirectoryHandle {
        var options = HAWSER_OPEN_DIRECTORY.rawValue
        options |= pathOnly ? HAWSER_OPEN_PATH_ONLY.rawValue : HAWSER_OPEN_NO_ATIME.rawValue
        return DirectoryHandle(adopting: try FileCalls.open(FileCalls.rootName, in: -1, options))
    }

    /// The directory of an entry, component by component from the nearest one that is open. Symbolic links are followed only in what leads
    /// to a given path.
    func directory(at path: EntryPath) throws(CallFailure) -> DirectoryHandle {
        if let handle = cache.handle(for: path) { return handle }
        let handle = try retryingWithoutCache { () throws(CallFailure) in
            try openDirectory(at: path)
        }
        cache.insert(handle, for: path)
        return handle
    }

    private func openDirectory(at path: EntryPath) throws(CallFailure) -> DirectoryHandle {
        // Nearly always one of the next ancestors is open; of a very long path not each can be tried.
        let lookups = 32
        var missing: [EntryPath] = []
        var handle: DirectoryHandle?
        var ancestor: EntryPath? = path
        while let next = ancestor, handle == nil, missing.count < lookups {
            handle = cache.handle(for: next)
            if handle == nil {
                missing.append(next)
                ancestor = next.parent
            }
        }
        if handle == nil, ancestor != nil { return try openFromRoot(path) }
        var current = if let handle { handle } else { try Self.openRoot(pathOnly: true) }
        for step in missing.reversed() where !step.isRoot {
            let follows = roots.names(leadingOnFrom: step) != nil
            current = try DirectoryScan.open(Array(step.name), in: current, pathOnly: true, following: follows)
        }
        return current
    }

    /// A directory that leads to a given path, with its own metadata.
    func directoryEntry(at path: EntryPath) throws -> Entry {
        do throws(CallFailure) {
            let status = try FileCalls.status(of: directory(at: path).descriptor)
            return status.entry(at: path, kind: .directory, accounts: accounts, links: links)
        } catch {
            throw error.error(at: path)
        }
    }

    private func openFromRoot(_ path: EntryPath) throws(CallFailure) -> DirectoryHandle {
        var current = try Self.openRoot(pathOnly: true)
        var step = EntryPath.root
        var depth = 0
        for name in path.components {
            depth += 1
            var follows = false
            if depth <= roots.spineDepth {
                step = step.appending(name)
                follows = roots.names(leadingOnFrom: step) != nil
            }
            current = try DirectoryScan.open(Array(name), in: current, pathOnly: true, following: follows)
        }
        return current
    }

    /// When the process has too many files open, those kept for speed are given up first.
    func retryingWithoutCache<Value>(_ call: () throws(CallFailure) -> Value) throws(CallFailure) -> Value {
        do throws(CallFailure) {
            return try call()
        } catch {
            guard error.code == EMFILE || error.code == ENFILE else { throw error }
            cache.removeAll()
            return try call()
        }
    }
}
