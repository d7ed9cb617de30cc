import HawserFormat
import HawserStorage
import HawserTransfer

extension Repository {
    /// Writes the next generation of the configuration, with other features that only inform.
    ///
    /// - Parameters:
    ///   - features: take the place of all whose names begin with `prefix`.
    /// - Throws: `conflict` when somebody else writes the next generation at the same time; `unsupported` when the
    ///   repository is read only for this version.
    public func setInfoFeatures(_ features: Set<String>, replacing prefix: String) async throws {
        try requireWritable()
        let bytes = try await target.fetch(.config(config.header.generation), range: nil)
        var next = try config.successor(of: bytes)
        next.header.features.info = next.header.features.info.filter { !$0.hasPrefix(prefix) }.union(features)
        if next.header.features == config.header.features { return }
        guard try await next.store(at: target, ring) else {
            throw HawserError(.conflict, "The configuration was changed by somebody else at the same time.")
        }
        cache.rememberGeneration(next.header.generation)
    }
}

extension RepositoryConfig {
    /// Stores it as a further generation.
    ///
    /// - Returns: `false` when somebody else has stored this generation.
    func store(at target: any DataMoverTarget, _ ring: KeyRing) async throws -> Bool {
        let bytes = try encode(ring)
        let key = ObjectKey.config(header.generation)
        do {
            _ = try await target.store(SealedObject(key: key, bytes: bytes, sha256: ObjectName(hashOf: bytes)))
        } catch let error as HawserError where error.code == .conflict { return false }
        // Where the storage can't refuse the second of two writers, reading back tells.
        return try await target.fetch(key, range: nil) == bytes
    }
}
