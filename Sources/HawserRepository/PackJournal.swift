import Glibc
import HawserFormat

/// The packs that a session has stored, written down as their receipts come: so the next run finds those that no index
/// segment names when this one is killed.
///
/// One file a session, locked while it lives; not synced, because a lost line only costs storing again. Where the cache
/// can't be written to, there is none.
final class PackJournal: Sendable {
    private let path: String
    private let descriptor: CInt?

    init(_ cache: RepositoryCache) {
        let path = cache.directory + "/journal/" + [UInt8].random(count: 8).hex
        self.path = path
        descriptor = cache.attempt { try Self.make(path) }
    }

    private static let unfinished = ".new"

    private static func make(_ path: String) throws -> CInt {
        // Locked before it gets its name: without the lock another run would take it for that of a dead session.
        let unnamed = path + unfinished
        let descriptor = try LocalFile.create(unnamed)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, rename(unnamed, path) == 0 else {
            let error = LocalFile.failure("The journal can't be made", path)
            close(descriptor)
            unlink(unnamed)
            throw error
        }
        return descriptor
    }

    deinit {
        if let descriptor { close(descriptor) }
    }

    func append(_ key: ObjectKey) {
        guard let descriptor else { return }
        // A lost line, as when the cache's disk is full, must not end a backup.
        try? LocalFile.write(Array((key.path + "\n").utf8), to: descriptor, path)
    }

    /// The session is over and all its packs are in segments.
    func remove() {
        unlink(path)
    }

    /// The packs in journals of sessions that are no more, and the files to remove when they are indexed.
    static func leftovers(in cache: RepositoryCache) -> (packs: Set<ObjectKey>, files: [String]) {
        var packs: Set<ObjectKey> = []
        var files: [String] = []
        for name in LocalFile.names(in: cache.directory + "/journal") where !name.hasSuffix(unfinished) {
            let path = cache.directory + "/journal/" + name
            // A living session holds its lock.
            guard (try? FileLock(path)) != nil else { continue }
            guard let bytes = try? LocalFile.read(path) else { continue }
            files.append(path)
            // The last line may be cut short.
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
                if let key = ObjectKey(line) { packs.insert(key) }
            }
        }
        return (packs, files)
    }

    static func remove(_ files: [String]) {
        for file in files { unlink(file) }
    }
}
