public import HawserFormat
import HawserStorage
import Synchronization

extension S3ObjectStore {
    public func delete(_ keys: [ObjectKey]) async throws {
        try Task.checkCancellation()
        var failures: [HawserError] = []
        // Each once: Ceph 16.2.15 corrupts its memory and dies of a request that names a missing object twice.
        var seen: Set<ObjectKey> = []
        var rest = keys.filter { seen.insert($0).inserted }[...]
        while !rest.isEmpty {
            failures += try await delete(rest.prefix(DeleteManyOperation.mostKeys))
            rest = rest.dropFirst(DeleteManyOperation.mostKeys)
        }
        if let first = failures.first { throw first }
    }

    /// Gives what went wrong with single keys; throws when a request failed as a whole.
    private func delete(_ keys: ArraySlice<ObjectKey>) async throws -> [HawserError] {
        guard keys.count > 1, !state.withLock({ $0.deletesSingly }) else { return try await deleteSingly(keys) }
        do {
            return try await perform(DeleteManyOperation(keys, folder: configuration.prefix)).map(error)
        } catch let error as HawserError where error.meaning == .notImplemented {
            state.withLock { $0.deletesSingly = true }
            return try await deleteSingly(keys)
        }
    }

    func error(_ failure: S3Failure) -> HawserError {
        let location = state.withLock { $0.location }
        let folder = location.prefix.utf8.count
        return failure.error(
            place: failure.key.map { String(decoding: $0.utf8.dropFirst(folder), as: UTF8.self) } ?? "",
            S3RequestContext(
                bucket: location.bucket,
                endpoint: location.endpoint,
                region: location.region,
                accessKeyID: nil,
                clockAhead: nil
            )
        )
    }

    /// Side by side as far as there are connections.
    private func deleteSingly(_ keys: ArraySlice<ObjectKey>) async throws -> [HawserError] {
        try await withThrowingTaskGroup(of: HawserError?.self) { group in
            for key in keys {
                group.addTask {
                    do {
                        try await self.perform(DeleteOperation(key: key))
                        return nil
                    } catch let error as HawserError {
                        return error.meaning == .noObject ? nil : error
                    }
                }
            }
            return try await group.reduce(into: []) { failures, failure in
                if let failure { failures.append(failure) }
            }
        }
    }
}
