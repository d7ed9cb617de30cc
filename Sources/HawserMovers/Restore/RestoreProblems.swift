import HawserFormat
import Synchronization

/// Collects what does not stop a restore: problems go to the caller one by one, warnings are counted by kind.
final class RestoreProblems: Sendable {
    private let handler: @Sendable (EntryPath, HawserError) -> Void
    private let counts = Mutex<[RestoreWarning.Kind: RestoreWarning]>([:])

    init(_ handler: @escaping @Sendable (EntryPath, HawserError) -> Void) {
        self.handler = handler
    }

    func report(_ path: EntryPath, _ error: HawserError) {
        handler(path, error)
    }

    func warn(_ kind: RestoreWarning.Kind, _ path: EntryPath) {
        counts.withLock {
            $0[kind, default: RestoreWarning(kind: kind, count: 0, example: path.description)].count += 1
        }
    }

    var warnings: [RestoreWarning] {
        counts.withLock { $0.values.sorted { $0.kind.rawValue < $1.kind.rawValue } }
    }
}
