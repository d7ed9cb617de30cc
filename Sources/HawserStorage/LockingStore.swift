public import HawserFormat

/// Storage that can keep objects from being deleted for a time.
///
/// Errors are as those of ``ObjectStore``, but requests are repeated where that can help: no layer is around them.
public protocol LockingStore: Sendable {
    /// By the storage's clock: a lock that a wrong one makes can't be undone.
    var storageTime: Timestamp { get }

    /// Locks an object until `end` at least; a lock that ends later stays.
    ///
    /// - Throws: `accessDenied` when the keys may not, `notFound`, `unsupported` where there are no locks.
    func extendLock(of key: ObjectKey, to end: Timestamp) async throws

    /// Until when an object is locked; `nil` when it isn't, or when the keys may not know.
    ///
    /// - Throws: `notFound`.
    func lockEnd(of key: ObjectKey) async throws -> Timestamp?
}
