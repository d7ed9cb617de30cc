import Crypto
import Glibc
import HawserFormat
import HawserStorage
import HawserTransfer

extension Repository {
    /// The end of the lock that what is stored now is to have; `nil` when nothing is locked.
    var lockEnd: Timestamp? {
        guard let lock = config.lock, let locks = target.locks else { return nil }
        return lock.end(at: locks.storageTime)
    }

    /// Locks what a new snapshot needs for as long as the repository is set to. New packs are locked as they are stored;
    /// those of earlier backups need it once in ten days, when the end of all locks moves on.
    ///
    /// - Parameters:
    ///   - fresh: packs that this session has stored, and until when they were locked then.
    ///   - base: refs that those of the snapshot build on.
    /// - Throws: `RepositoryWriter.Condemnation` when a pack is not there any more.
    func extendLocks(of packs: [PackReference], fresh: [ObjectName: Timestamp], base: ObjectKey?) async throws {
        guard let locks = target.locks, let end = lockEnd else { return }
        let earlier = cache.lockedPacks(until: end)
        var others = base.map { [$0] } ?? []
        if earlier == nil {
            // Without these nothing opens, for whoever has one of the passwords. Once for each end is enough.
            others.append(.config(config.header.generation))
            for try await info in target.list(.keySlot) { others.append(info.key) }
        }
        var locked = earlier ?? []
        let due = packs.filter { pack in
            if locked.contains(pack.name) { return false }
            guard let known = fresh[pack.name], known >= end else { return true }
            locked.insert(pack.name)
            return false
        }
        // What was done is remembered also when the rest can't be.
        defer { if locked.count != earlier?.count { cache.rememberLockedPacks(locked, until: end) } }
        do {
            for key in others {
                // Passwords are changed and configurations written meanwhile.
                do { try await locks.extendLock(of: key, to: end) } catch let error as HawserError
                    where error.code == .notFound
                {}
            }
            var gone: Set<ObjectName> = []
            try await withBoundedTasks(over: due, width: Parallelism.requests) { pack in
                do {
                    try await locks.extendLock(of: pack.key, to: end)
                    return (pack.name, true)
                } catch let error as HawserError where error.code == .notFound {
                    return (pack.name, false)
                }
            } take: { (name: ObjectName, isThere: Bool) in
                if isThere { locked.insert(name) } else { gone.insert(name) }
            }
            // A prune has deleted them.
            if !gone.isEmpty { throw RepositoryWriter.Condemnation(packs: gone) }
        } catch var error as HawserError where error.code == .accessDenied {
            error.message =
                "What the backup needs can't be locked, so no snapshot was made. The keys need s3:PutObjectRetention. "
                + error.message
            throw error
        }
    }
}

extension RepositoryCache {
    private static let lockMagic = Array("hawser cache locks 1\n".utf8)
    private var locksPath: String { directory + "/locks" }

    /// Packs that this machine has seen locked until `end`; `nil` when it has seen none. All backups of ten days have the
    /// same.
    func lockedPacks(until end: Timestamp) -> Set<ObjectName>? {
        guard let bytes = try? LocalFile.read(locksPath) else { return nil }
        let body = bytes.dropLast(SHA256.byteCount)
        guard HMAC<SHA256>.isValidAuthenticationCode(bytes[body.endIndex...], authenticating: body, using: key) else {
            return nil
        }
        var reader = ByteReader(body)
        guard let magic = try? reader.read(count: Self.lockMagic.count), magic.elementsEqual(Self.lockMagic),
            let seconds = try? reader.read(Int64.self), seconds == end.seconds
        else { return nil }
        var names: Set<ObjectName> = []
        while let name: ObjectName = try? reader.readIdentifier() { names.insert(name) }
        return names
    }

    func rememberLockedPacks(_ names: Set<ObjectName>, until end: Timestamp) {
        var bytes = Self.lockMagic
        bytes.append(integer: end.seconds)
        for name in names.sorted() { bytes.append(identifier: name) }
        bytes += HMAC<SHA256>.authenticationCode(for: bytes, using: key)
        _ = attempt { try LocalFile.replace(locksPath, with: bytes) }
    }

    /// The storage says otherwise: the next backup asks it for each pack.
    func forgetLockedPacks() {
        unlink(locksPath)
    }
}
