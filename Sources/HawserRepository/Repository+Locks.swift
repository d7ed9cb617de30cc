import Crypto
import Glibc
import HawserFormat
import HawserStorage
import HawserTransfer

extension Repository {
    /// The end of the lock that what is stored now is to have; `nil` when nothing is locked.
    var lockEnd: Timestamp? {
        target.locks == nil ? nil : config.lock?.end(at: Timestamp(seconds: Int64(time(nil))))
    }

    /// Locks what a new snapshot needs for as long as the repository is set to. New packs are locked as they are stored;
    /// those of earlier backups need it once in ten days, when the end of all locks moves on.
    ///
    /// - Parameter fresh: packs that this session has stored, and until when they were locked then.
    func extendLocks(of packs: [PackReference], fresh: [ObjectName: Timestamp]) async throws {
        guard let locks = target.locks, let end = lockEnd else { return }
        let earlier = cache.lockedPacks(until: end)
        // Without them nothing opens. Once for each end is enough.
        var keys = earlier == nil ? [ObjectKey.config(config.header.generation), .named(.keySlot, slot)] : []
        var names = earlier ?? []
        for pack in packs where names.insert(pack.name).inserted && fresh[pack.name].map({ $0 < end }) ?? true {
            keys.append(pack.key)
        }
        do {
            try await withBoundedTasks(over: keys, width: Parallelism.requests) { key in
                try await locks.extendLock(of: key, to: end)
            } take: { _ in
            }
        } catch var error as HawserError where error.code == .accessDenied {
            error.message =
                "What the backup needs can't be locked, so no snapshot was made. The keys need s3:PutObjectRetention. "
                + error.message
            throw error
        }
        if names.count != earlier?.count { cache.rememberLockedPacks(names, until: end) }
    }
}

extension RepositoryCache {
    private static let lockMagic = Array("hawser cache locks 1\n".utf8)

    /// Packs that this machine has seen locked until `end`; `nil` when it has seen none. All backups of ten days have the
    /// same.
    func lockedPacks(until end: Timestamp) -> Set<ObjectName>? {
        guard let bytes = try? LocalFile.read(directory + "/locks") else { return nil }
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
        _ = attempt { try LocalFile.replace(directory + "/locks", with: bytes) }
    }
}
