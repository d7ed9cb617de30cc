import Crypto
import Glibc
import HawserFormat
import HawserStorage
import HawserTransfer

/// Objects of the repository, sealed as the storage has them, so that they are fetched once. Like everything in the
/// cache they may be gone or damaged at any time: what is read is compared with its name.
extension RepositoryCache {
    /// The kinds that are read again and again and never change.
    static let keptKinds: [ObjectKind] = [.snapshot, .checkpoint, .condemned, .metadataPack]

    // Metadata packs of some ten million files. Over it, the one whose last use is longest ago goes first.
    private static let packLimit = 1 << 30

    func kept(_ key: ObjectKey) async -> [UInt8]? {
        let path = path(key)
        return await BlockingExecutor.shared.run {
            guard let path, let bytes = try? LocalFile.read(path) else { return nil }
            guard ObjectName(SHA256.hash(data: bytes)) == key.name else {
                unlink(path)
                return nil
            }
            // The time of its last use.
            utimensat(AT_FDCWD, path, nil, 0)
            return bytes
        }
    }

    func keep(_ key: ObjectKey, _ bytes: [UInt8]) async {
        guard let path = path(key) else { return }
        // A full disk must not end a job.
        await BlockingExecutor.shared.run { try? LocalFile.replace(path, with: bytes) }
    }

    /// Removes the kept objects of a kind that the storage does not have any more.
    func removeKept(_ kind: ObjectKind, except names: Set<ObjectName>) async {
        let folder = folder(kind)
        await BlockingExecutor.shared.run {
            for file in LocalFile.names(in: folder) where !(ObjectName(hex: file).map(names.contains) ?? false) {
                unlink(folder + "/" + file)
            }
        }
    }

    /// Removes the metadata packs that were not used for longest while they are more than the cache may hold.
    func trimPacks(limit: Int = RepositoryCache.packLimit) async {
        let folder = folder(.metadataPack)
        await BlockingExecutor.shared.run {
            var files: [(path: String, used: Int, length: Int)] = []
            for file in LocalFile.names(in: folder) {
                var status = stat()
                let path = folder + "/" + file
                guard stat(path, &status) == 0 else { continue }
                files.append((path, status.st_mtim.tv_sec, Int(status.st_size)))
            }
            var sum = files.reduce(0) { $0 + $1.length }
            for file in files.sorted(by: { $0.used < $1.used }) where sum > limit {
                unlink(file.path)
                sum -= file.length
            }
        }
    }

    func folder(_ kind: ObjectKind) -> String {
        directory + "/objects/" + kind.prefix.dropLast().map { $0 == "/" ? "-" : String($0) }.joined()
    }

    private func path(_ key: ObjectKey) -> String? {
        key.name.map { folder(key.kind) + "/" + $0.hex }
    }
}

extension Repository {
    /// A cache that ends with the process would be written for nobody.
    private var keepsObjects: Bool { target.access.keepsObjects && !cache.isTemporary }

    /// An object that is called by its own hash, from the local cache if it is kept there.
    ///
    /// - Throws: `damaged`, `notFound`.
    func fetchKept(_ key: ObjectKey) async throws -> [UInt8] {
        guard keepsObjects else { return try await target.fetchVerified(key) }
        if let bytes = await cache.kept(key) { return bytes }
        let bytes = try await target.fetchVerified(key)
        await cache.keep(key, bytes)
        return bytes
    }

    /// A metadata pack, from the local cache if it is kept there. One that is damaged still serves for what is whole in
    /// it: its chunks are verified one by one.
    func fetchMetadataPack(_ pack: PackReference) async throws -> [UInt8] {
        guard keepsObjects else { return try await target.fetch(pack.key, range: nil) }
        if let bytes = await cache.kept(pack.key) { return bytes }
        let bytes = try await target.fetch(pack.key, range: nil)
        if await ObjectName.hash(of: bytes) == pack.name { await cache.keep(pack.key, bytes) }
        return bytes
    }

    /// What was just stored, so that the next run need not fetch it.
    func keep(_ key: ObjectKey, _ bytes: [UInt8]) async {
        if keepsObjects { await cache.keep(key, bytes) }
    }

    func forgetKept(_ kind: ObjectKind, except names: Set<ObjectName>) async {
        if keepsObjects { await cache.removeKept(kind, except: names) }
    }
}
