import Crypto
import Glibc
import HawserFormat
import HawserStorage
import Synchronization

/// What a machine keeps of a repository to be fast: the merged index, the journal of stored packs, of a remote one
/// sealed snapshots and metadata packs, and what it last saw of the repository's identity. All of it can be deleted at
/// any time; nothing in it is a secret.
///
/// A full disk or a place that can't be written to stops nobody: from the first failure on nothing more is kept there,
/// and the index lies in memory (50 bytes a chunk).
public final class RepositoryCache: Sendable {
    /// The directory of this repository.
    public let directory: String
    /// Removed with this object; its index has no names, so that a process that is killed leaves next to nothing.
    let isTemporary: Bool
    let key: SymmetricKey
    private let failure = Mutex<HawserError?>(nil)

    /// - Parameters:
    ///   - root: the cache of this user (`--cache-dir`); `nil` keeps everything in a temporary directory that is
    ///     removed with this object.
    ///   - key: seals the cached index against damage and tampering.
    init(root: String?, repositoryID: [UInt8], key: SymmetricKey) {
        isTemporary = root == nil
        let parent = root ?? Self.temporaryRoot() + "/hawser-" + [UInt8].random(count: 8).hex
        directory = parent + "/" + repositoryID.hex
        self.key = key
        let folders = ["index", "segments", "journal"].map { directory + "/" + $0 } + Self.keptKinds.map(folder)
        for folder in folders {
            _ = attempt { try LocalFile.makeDirectories(folder) }
        }
    }

    /// Why nothing more is kept here: the first failure to write.
    var problem: HawserError? { failure.withLock { $0 } }

    /// Writes something into the cache, unless that has failed before.
    ///
    /// - Returns: `nil` when it was not written.
    func attempt<Result>(_ write: () throws -> Result) -> Result? {
        guard problem == nil else { return nil }
        do {
            return try write()
        } catch {
            let reason = error as? HawserError ?? HawserError(.fileSystem, "It can't be written.", cause: error)
            failure.withLock { $0 = $0 ?? reason }
            return nil
        }
    }

    deinit {
        if isTemporary {
            LocalFile.removeTree(directory)
            rmdir(String(directory[..<(directory.lastIndex(of: "/") ?? directory.endIndex)]))
        }
    }

    private static func temporaryRoot() -> String {
        getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    }

    // MARK: Index

    /// Runs `body` while no other process brings the cached index up to date.
    func withIndexLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        let path = directory + "/index/lock"
        // Asked for again and again instead of waited for: a thread in the kernel could not be cancelled, and enough of
        // them would leave none for the holder's reads. Where there can't be a lock, nothing is written either.
        var lock: FileLock?
        while let asked = attempt({ try FileLock(path) }) {
            lock = asked
            if lock != nil { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    /// Empty when there is none, or none that is whole.
    func readManifest() -> IndexManifest {
        guard let bytes = try? LocalFile.read(directory + "/index/manifest"),
            let manifest = try? IndexManifest(bytes, key: key)
        else { return IndexManifest() }
        return manifest
    }

    /// - Returns: whether it was written, together with all the runs that it names.
    func write(_ manifest: IndexManifest) -> Bool {
        !isTemporary
            && attempt { try LocalFile.replace(directory + "/index/manifest", with: manifest.encode(key: key)) } != nil
    }

    func openRun(_ name: String) throws -> IndexRun {
        let path = directory + "/index/" + name
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LocalFile.failure("The cached index can't be opened", path) }
        defer { close(descriptor) }
        return try IndexRun(descriptor: descriptor, key: key)
    }

    /// Writes `count` records that `fill` appends in order.
    ///
    /// - Parameter name: `nil` for a run that only this process sees: its file has no name and ends with it. Where the
    ///   cache can't have it, every run is in memory.
    func makeRun(
        named name: String?,
        count: Int,
        _ fill: (inout IndexRunWriter) throws -> Void
    ) throws -> IndexRun {
        let path = directory + "/index/" + (name ?? "private-" + [UInt8].random(count: 8).hex)
        let length = IndexRunLayout.byteCount(recordCount: count)
        let file = attempt { try LocalFile.create(path, length: length) }
        let descriptor = try file ?? LocalFile.createInMemory(length: length)
        defer { close(descriptor) }
        if name == nil || isTemporary { unlink(path) }
        do {
            var writer = try IndexRunWriter(descriptor: descriptor, count: count, key: key)
            try fill(&writer)
            return try writer.finish(key: key)
        } catch {
            unlink(path)
            throw error
        }
    }

    func removeRuns(_ names: [String]) {
        for name in names { unlink(directory + "/index/" + name) }
    }

    /// Removes run files that `manifest` does not name. Call with the index locked.
    func removeRuns(except manifest: IndexManifest) {
        for name in LocalFile.names(in: directory + "/index")
        where name != "lock" && name != "manifest" && !manifest.runs.contains(name) {
            unlink(directory + "/index/" + name)
        }
    }

    /// A segment that this machine stored is kept here until the next opening takes it into the index.
    func keepSegment(_ name: ObjectName, _ bytes: [UInt8]) {
        // Only spares a download.
        try? LocalFile.replace(directory + "/segments/" + name.hex, with: bytes)
    }

    func keptSegment(_ name: ObjectName) -> [UInt8]? {
        guard let bytes = try? LocalFile.read(directory + "/segments/" + name.hex),
            ObjectName(SHA256.hash(data: bytes)) == name
        else { return nil }
        return bytes
    }

    func removeKeptSegments(_ names: Set<ObjectName>) {
        for name in names { unlink(directory + "/segments/" + name.hex) }
    }

    /// The cached index is of no use any more; the next opening makes it anew.
    ///
    /// - Returns: whether it is gone.
    @discardableResult
    func discardIndex() -> Bool {
        unlink(directory + "/index/manifest") == 0 || errno == ENOENT
    }

    // MARK: Identity

    /// The highest configuration generation seen, or 0.
    func seenGeneration() -> UInt32 {
        guard let bytes = try? LocalFile.read(directory + "/generation") else { return 0 }
        return UInt32(String(decoding: bytes, as: UTF8.self)) ?? 0
    }

    func rememberGeneration(_ generation: UInt32) {
        if generation <= seenGeneration() { return }
        _ = attempt { try LocalFile.replace(directory + "/generation", with: Array(String(generation).utf8)) }
    }
}

extension RepositorySecrets {
    /// Seals the local cache: only whoever has the repository's key can have written it.
    var cacheKey: SymmetricKey {
        HKDF<SHA256>.expand(
            pseudoRandomKey: id.bytes,
            info: Array("hawser1 local cache".utf8),
            outputByteCount: 32
        )
    }
}
