import HawserFormat

/// Directories that child tasks scan before the walk comes to them. The walk takes them in its own order, so the order stays.
struct ScanAhead {
    /// A subdirectory as the walk counts it.
    struct Key: Hashable, Sendable {
        var level: Int
        var index: Int
    }

    struct Finished: Sendable {
        var key: Key
        var scan: Result<DirectoryScan, CallFailure>
        var waited: UInt64
    }

    // Enough to hide the waiting of one disk or server; more would take the threads of those who read.
    static let width = 8
    // Together with the width the 4,096 entries that a walk may be ahead; at 255 bytes a name 3 MiB.
    static let entryLimit = 512

    private var requested: Set<Key> = []
    private var finished: [Key: Finished] = [:]

    var hasRoom: Bool { requested.count < Self.width }

    mutating func request(
        _ key: Key,
        name: [UInt8],
        in parent: DirectoryHandle,
        group: inout ThrowingTaskGroup<Finished, any Error>
    ) {
        guard requested.insert(key).inserted else { return }
        group.addTask {
            let timer = ScanPace.Timer()
            let scan = Result { () throws(CallFailure) in
                try DirectoryScan(ahead: name, in: parent, limit: Self.entryLimit)
            }
            return Finished(key: key, scan: scan, waited: timer.waited)
        }
    }

    /// Waits for this one; `nil` when it was not requested.
    mutating func take(_ key: Key, group: inout ThrowingTaskGroup<Finished, any Error>) async throws -> Finished? {
        guard requested.remove(key) != nil else { return nil }
        while finished[key] == nil {
            guard let next = try await group.next() else { return nil }
            // Given up in between.
            if next.key == key || requested.contains(next.key) { finished[next.key] = next }
        }
        return finished.removeValue(forKey: key)
    }

    mutating func forget(level: Int) {
        requested = requested.filter { $0.level != level }
        finished = finished.filter { $0.key.level != level }
    }
}
