public import HawserFormat
public import HawserStorage
import Synchronization

extension S3ObjectStore: LockingStore {
    /// From now on what is put is locked, as far as its kind is (``ObjectKind/isLocked``).
    public func adopt(_ lock: ObjectLock) {
        state.withLock { $0.lock = lock }
    }

    public var storageTime: Timestamp {
        now().advanced(bySeconds: -state.withLock { $0.clockAhead })
    }

    /// The lock that an object gets which is put now.
    func retention(for key: ObjectKey) -> S3Retention? {
        guard key.kind.isLocked, let lock = state.withLock({ $0.lock }) else { return nil }
        return S3Retention(mode: lock.mode, end: lock.end(at: storageTime))
    }

    public func extendLock(of key: ObjectKey, to end: Timestamp) async throws {
        let mode = state.withLock { $0.lock?.mode } ?? .governance
        do {
            try await persist(
                RetentionOperation(key: key, retention: S3Retention(mode: mode, end: end)),
                storage: .away
            )
        } catch let error as HawserError {
            // A lock that would end earlier than that which is there is refused, by each storage in its own words.
            guard let failure = error.cause as? S3Failure, failure.status < 500 else { throw error }
            if let present = try await lockEnd(of: key), present >= end { return }
            throw failure.code == "InvalidRequest" ? error.withoutLocks : error
        }
    }

    public func lockEnd(of key: ObjectKey) async throws -> Timestamp? {
        do {
            return try await persist(LockEndOperation(key: key), storage: .away)
        } catch let error as HawserError where error.meaning == .noObject {
            throw HawserError(.notFound, "There is no such object.", place: key.path, cause: error)
        }
    }

    /// Repeats what can pass, for requests that have no ``RetryingStore`` around them.
    ///
    /// - Parameters:
    ///   - storage: what is known of it when the first request is made.
    ///   - isAnswer: errors that no repeating changes, though the storage may say so.
    func persist<Operation: S3Operation>(
        _ operation: Operation,
        _ policy: RetryPolicy = RetryPolicy(),
        storage: StorageReach = .unknown,
        unless isAnswer: (HawserError) -> Bool = { _ in false }
    ) async throws -> Operation.Output {
        var retries = RetryState(policy: policy)
        // A machine's sleep does not count.
        let begin = SuspendingClock.now
        while true {
            do {
                return try await perform(operation)
            } catch let error as HawserError {
                if isAnswer(error) { throw error }
                let pause = retries.pause(
                    after: error,
                    elapsed: begin.duration(to: .now),
                    random: .random(in: 0..<1),
                    storage: storage
                )
                guard let pause else { throw error }
                try await Task.sleep(for: pause, clock: .suspending)
            }
        }
    }
}

extension HawserError {
    /// What a storage says of a lock in a bucket that has none tells nobody what to do.
    var withoutLocks: HawserError {
        HawserError(
            .unsupported,
            "The repository's objects have to be locked, and this bucket seems to have no object locks.",
            place: place,
            cause: self
        )
    }
}

/// A lock as S3 has it ("Using S3 Object Lock", Amazon S3 User Guide).
struct S3Retention: Hashable {
    let mode: ObjectLock.Mode
    /// In whole seconds.
    let end: Timestamp

    var modeText: String {
        switch mode {
        case .governance: "GOVERNANCE"
        case .compliance: "COMPLIANCE"
        }
    }

    /// Such as `2026-01-31T23:59:59Z`. Of a year that has none, the last that has.
    var endText: String { (end.text ?? "9999-12-31T23:59:59").prefix(19) + "Z" }

    var headers: [(name: String, value: String)] {
        [("x-amz-object-lock-mode", modeText), ("x-amz-object-lock-retain-until-date", endText)]
    }
}

/// PutObjectRetention.
private struct RetentionOperation: S3Operation {
    let key: ObjectKey
    let body: [UInt8]

    var place: String { key.path }

    init(key: ObjectKey, retention: S3Retention) {
        self.key = key
        let text =
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>\(retention.modeText)</Mode>"
            + "<RetainUntilDate>\(retention.endText)</RetainUntilDate></Retention>"
        body = Array(text.utf8)
    }

    func request(at location: S3Location) -> SigV4Request {
        SigV4Request(
            method: "PUT",
            host: location.host,
            path: location.path(key.path),
            query: [("retention", "")],
            // This request is refused without a checksum; MD5 is the one that every storage knows.
            headers: [("content-type", "application/xml"), ("content-md5", contentMD5(body))],
            payload: .sha256(.sha256(of: body))
        )
    }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan {
        guard !head.isHTML else { throw foreign("The answer to a lock is a web page.") }
        return .ignore
    }

    func output(_ answer: S3Answer) {}
}

/// HEAD says it to whoever has the right to see locks (s3:GetObjectRetention).
private struct LockEndOperation: S3Operation {
    let key: ObjectKey

    private var head: HeadOperation { HeadOperation(key: key) }

    var place: String { key.path }

    func request(at location: S3Location) -> SigV4Request { head.request(at: location) }

    func plan(_ head: S3AnswerHead) throws -> S3BodyPlan { try self.head.plan(head) }

    func output(_ answer: S3Answer) -> Timestamp? {
        answer.head["x-amz-object-lock-retain-until-date"].flatMap { Timestamp(amazonText: $0) }
    }
}
