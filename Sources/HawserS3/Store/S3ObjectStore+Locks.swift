public import HawserFormat
public import HawserStorage
import Synchronization

extension S3ObjectStore: LockingStore {
    /// From now on what is put is locked, as far as its kind is (``ObjectKind/isLocked``).
    public func adopt(_ lock: ObjectLock) {
        state.withLock { $0.lock = lock }
    }

    /// The end of the lock that an object gets which is put now.
    func retention(for key: ObjectKey) -> S3Retention? {
        guard key.kind.isLocked else { return nil }
        let (lock, clockAhead) = state.withLock { ($0.lock, $0.clockAhead) }
        return lock.map { lock in
            S3Retention(mode: lock.mode, end: lock.end(at: now().advanced(bySeconds: -clockAhead)))
        }
    }

    public func extendLock(of key: ObjectKey, to end: Timestamp) async throws {
        let mode = state.withLock { $0.lock?.mode } ?? .governance
        do {
            try await persist(RetentionOperation(key: key, retention: S3Retention(mode: mode, end: end)))
        } catch let error as HawserError where error.meaning == .denied {
            // So is one that would end earlier than that which is there.
            guard let present = try? await lockEnd(of: key), present >= end else { throw error }
        }
    }

    public func lockEnd(of key: ObjectKey) async throws -> Timestamp? {
        try await persist(LockEndOperation(key: key))
    }

    /// Repeats what can pass, for requests that have no ``RetryingStore`` around them.
    ///
    /// - Parameter isAnswer: errors that no repeating changes, though the storage may say so.
    func persist<Operation: S3Operation>(
        _ operation: Operation,
        _ policy: RetryPolicy = RetryPolicy(),
        unless isAnswer: (HawserError) -> Bool = { _ in false }
    ) async throws -> Operation.Output {
        var retries = RetryState(policy: policy)
        let begin = ContinuousClock.now
        while true {
            do {
                return try await perform(operation)
            } catch let error as HawserError {
                if isAnswer(error) { throw error }
                let elapsed = begin.duration(to: .now)
                guard let pause = retries.pause(after: error, elapsed: elapsed, random: .random(in: 0..<1)) else {
                    throw error
                }
                try await Task.sleep(for: pause)
            }
        }
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

/// HEAD says it to whoever may know it: one right less is needed than for GetObjectRetention by itself, and no document.
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
