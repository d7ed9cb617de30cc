import Glibc
public import HawserFormat

/// Removes what is not in the snapshot from the restored directories (`--delete`), for the one task that goes through
/// the entries.
///
/// It is shown the path of every entry of the snapshot, in order, also of those that are not restored. Directories
/// that the restore has made are not looked at, nor those above the snapshot's sources, of which the snapshot knows
/// only a part.
///
/// Memory: the names of one directory up to a limit (a larger one is read several times), and the names of existing
/// subdirectories that are still to come.
public struct RestoreDeletion {
    /// Existing directories that a group of entries has shown and that are still to come, in order.
    private struct Level {
        var directory: EntryPath
        var names: [UInt8] = []
        var position = 0
    }

    private let tree: RestoreTree
    private let sources: [EntryPath]
    private let nameLimit: Int
    private let deleted: (EntryPath) -> Void

    private var levels: [Level] = []
    private var directory: EntryPath?
    private var isSwept = false
    private var names: Set<[UInt8]> = []
    private var after: [UInt8]?
    private var rootExists = false

    /// - Parameters:
    ///   - sources: the snapshot's paths, as they are below the target.
    ///   - nameLimit: 1 or more. 64 Ki names of usual length take about 6 MiB.
    ///   - deleted: gets each removed entry; in a dry run, each one that would be.
    public init(
        _ tree: RestoreTree,
        sources: [EntryPath],
        nameLimit: Int = 64 << 10,
        deleted: @escaping (EntryPath) -> Void
    ) {
        self.tree = tree
        self.sources = sources
        self.nameLimit = max(nameLimit, 1)
        self.deleted = deleted
    }

    /// - Parameter action: for directories what `makeDirectory` did; `nil` for everything else.
    public mutating func visit(_ path: EntryPath, _ action: RestoreAction?) {
        let isExisting = action == .updated || action == .kept
        guard let parent = path.parent else {
            rootExists = isExisting
            return
        }
        if parent != directory { begin(parent) }
        if isSwept { names.insert(Array(path.name)) }
        if isExisting, let last = levels.indices.last {
            levels[last].names += path.name
            // Names have none.
            levels[last].names.append(0)
        }
        if names.count >= nameLimit {
            sweep(parent, through: Array(path.name))
            after = Array(path.name)
            names.removeAll(keepingCapacity: true)
        }
    }

    /// After the last entry.
    public mutating func finish() {
        if directory == nil, rootExists {
            directory = .root
            isSwept = isInSources(.root)
        }
        endDirectory()
        while let next = popPending() { sweepEmpty(next) }
    }

    private mutating func begin(_ next: EntryPath) {
        endDirectory()
        directory = next
        isSwept = next.isRoot && rootExists && isInSources(next)
        while let pending = peekPending(), !Self.follows(pending, next) {
            _ = popPending()
            if pending == next {
                isSwept = isInSources(next)
                break
            }
            if !pending.contains(next) { sweepEmpty(pending) }
        }
        levels.append(Level(directory: next))
    }

    private mutating func endDirectory() {
        guard let directory else { return }
        sweep(directory, through: nil)
        names.removeAll(keepingCapacity: true)
        after = nil
        isSwept = false
    }

    private mutating func sweepEmpty(_ path: EntryPath) {
        isSwept = isInSources(path)
        names.removeAll(keepingCapacity: true)
        after = nil
        sweep(path, through: nil)
        isSwept = false
    }

    private func isInSources(_ path: EntryPath) -> Bool {
        sources.contains { $0.contains(path) }
    }

    /// Whether the entries of `left` come after those of `right`.
    private static func follows(_ left: EntryPath, _ right: EntryPath) -> Bool {
        right.appending(probe) < left.appending(probe)
    }

    // Any name: entries compare by their directories first.
    private static let probe = CollectionOfOne(UInt8(ascii: "x"))

    private mutating func peekPending() -> EntryPath? {
        while let level = levels.last {
            if level.position < level.names.count {
                return level.directory.appending(level.names[level.position...].prefix { $0 != 0 })
            }
            levels.removeLast()
        }
        return nil
    }

    private mutating func popPending() -> EntryPath? {
        guard let path = peekPending() else { return nil }
        levels[levels.count - 1].position += path.name.count + 1
        return path
    }

    /// Removes what is in the directory behind `after`, up to `last`, and not in `names`.
    private func sweep(_ path: EntryPath, through last: [UInt8]?) {
        guard isSwept, tree.options.deletes else { return }
        do {
            try tree.sweep(path) { name in
                if let after, !after.lexicographicallyPrecedes(name) { return false }
                if let last, last.lexicographicallyPrecedes(name) { return false }
                return !names.contains(name)
            } deleted: {
                deleted($0)
            }
        } catch let error as HawserError {
            tree.problems.report(path, error)
        } catch {
            tree.problems.report(path, HawserError(.fileSystem, "Can't delete here.", cause: error))
        }
    }
}

extension RestoreTree {
    /// Removes the entries of a directory that `isExtra` names. What can't be removed is reported.
    fileprivate func sweep(
        _ path: EntryPath,
        isExtra: ([UInt8]) -> Bool,
        deleted: (EntryPath) -> Void
    ) throws {
        guard let handle = try directory(path, create: false) else { return }
        let ownPrefix = Array(Self.temporaryPrefix.utf8)
        try forEachName(in: handle.descriptor, path) { pointer in
            let name = Array(UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)))
            guard !name.starts(with: ownPrefix), isExtra(name) else { return true }
            let extra = path.appending(name)
            do {
                if !options.dryRun {
                    try removeTree(pointer, in: handle.descriptor, extra)
                }
                deleted(extra)
            } catch let error as HawserError {
                problems.report(extra, error)
            }
            return true
        }
    }
}
