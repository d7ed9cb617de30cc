import Dispatch
import GRDB
import Synchronization

/// The one writer. What arrives within 2 ms, or 256 writes, shares one durable transaction, each with a savepoint of its
/// own, and is answered after the commit.
///
/// On its own queue: a commit waits for the disk, and must not hold a thread of the cooperative pool.
final class GroupCommit: Sendable {
    /// How long the first write of a group waits for others.
    static let window = DispatchTimeInterval.milliseconds(2)
    static let largestGroup = 256

    private struct Job: Sendable {
        /// Gives what hands the value over once it is durable.
        let run: @Sendable (Transaction) throws -> @Sendable () -> Void
        let fail: @Sendable (any Error) -> Void
        let actor: String
        /// Later writes see what `afterCommit` did: they go into the next transaction.
        let isLast: Bool
    }

    private let pool: DatabasePool
    private let clock: ProviderClock
    private let feed: ChangeFeed
    /// Throws when this process may not write any more.
    private let check: @Sendable (Database) throws -> Void
    private let queue = DispatchQueue(label: "hawser.provider.writer")
    private let jobs = Mutex<[Job]>([])

    init(
        _ pool: DatabasePool,
        clock: ProviderClock,
        feed: ChangeFeed,
        check: @escaping @Sendable (Database) throws -> Void
    ) {
        self.pool = pool
        self.clock = clock
        self.feed = feed
        self.check = check
    }

    /// What `body` throws undoes its own changes only. Once begun it is not cancelled: the answer tells what is on disk.
    func write<Value: Sendable>(
        actor: String,
        isLast: Bool = false,
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            submit(
                Job(
                    run: { transaction in
                        let value = try body(transaction)
                        return { continuation.resume(returning: value) }
                    },
                    fail: { continuation.resume(throwing: $0) },
                    actor: actor,
                    isLast: isLast
                )
            )
        }
    }

    private func submit(_ job: Job) {
        let count = jobs.withLock { jobs in
            jobs.append(job)
            return jobs.count
        }
        if count == 1 {
            queue.asyncAfter(deadline: .now() + Self.window) { self.flush() }
        } else if count == Self.largestGroup {
            queue.async { self.flush() }
        }
    }

    private func flush() {
        let (group, isMore) = jobs.withLock { jobs in
            var group = Array(jobs.prefix(Self.largestGroup))
            if let last = group.firstIndex(where: \.isLast) { group.removeSubrange((last + 1)...) }
            jobs.removeFirst(group.count)
            return (group, !jobs.isEmpty)
        }
        if isMore { queue.async { self.flush() } }
        guard !group.isEmpty else { return }
        do {
            let (answers, transactions) = try pool.write { db in
                try check(db)
                return try run(group, db)
            }
            for transaction in transactions {
                for body in transaction.afterCommit { body() }
                feed.publish(transaction.changes)
            }
            for answer in answers { answer() }
        } catch {
            let error = providerError(error)
            for job in group { job.fail(error) }
        }
    }

    private func run(_ group: [Job], _ db: Database) throws -> ([@Sendable () -> Void], [Transaction]) {
        var answers: [@Sendable () -> Void] = []
        var transactions: [Transaction] = []
        for job in group {
            let transaction = Transaction(db, clock: clock, actor: job.actor)
            // `inSavepoint` compiles its statements each time.
            try db.run("SAVEPOINT job")
            do {
                let answer = try job.run(transaction)
                try db.run("RELEASE job")
                answers.append(answer)
                transactions.append(transaction)
            } catch {
                // A full disk, for one, can undo the whole transaction: then nothing of the group is there.
                guard db.isInsideTransaction else { throw error }
                try db.run("ROLLBACK TO job")
                try db.run("RELEASE job")
                let error = providerError(error)
                answers.append { job.fail(error) }
            }
        }
        return (answers, transactions)
    }
}
