import Glibc
import HawserFormat
import HawserStorage
import HawserTransfer

/// How much of the machine maintenance uses.
enum Parallelism {
    /// For work that computes.
    static let cores = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))
    /// For small requests, which wait for the storage: enough to hide 50 ms of latency.
    static let requests = 16
}

/// Runs `body` for each element, at most `width` at a time, and hands the results to `take` one by one as they come.
///
/// The first error, of either, cancels what still runs and is thrown.
func withBoundedTasks<Element: Sendable, Result: Sendable>(
    over elements: some Sequence<Element>,
    width: Int,
    _ body: @escaping @Sendable (Element) async throws -> Result,
    take: (Result) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Result.self) { group in
        var running = 0
        for element in elements {
            try Task.checkCancellation()
            if running >= width, let result = try await group.next() {
                running -= 1
                try await take(result)
            }
            group.addTask { try await body(element) }
            running += 1
        }
        while let result = try await group.next() { try await take(result) }
    }
}

extension DataMoverTarget {
    /// Those of `keys` that are not there, asked for one by one: a list may skip what is there.
    func absent(of keys: some Sequence<ObjectKey>) async throws -> Set<ObjectKey> {
        var absent: Set<ObjectKey> = []
        try await withBoundedTasks(over: keys, width: Parallelism.requests) { key in
            try await head(key) == nil ? key : nil
        } take: { (key: ObjectKey?) in
            if let key { absent.insert(key) }
        }
        return absent
    }
}
