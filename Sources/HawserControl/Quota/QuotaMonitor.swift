public import HawserFormat
import HawserStorage
public import HawserTransfer
import Logging

/// Knows what the provider lets this session store in one repository, and leases it ahead of need, so that uploads don't
/// wait for the provider in good times, and go on for a while when he can't be reached.
///
/// It works while `run` runs, or for the time of ``withQuotaMonitor(_:repository:settings:_:)``.
public actor QuotaMonitor: ByteLeases {
    private let connection: ProviderConnection
    private let repository: ControlID
    private let stopwatch: Stopwatch
    /// One request at a time.
    private let turn = AsyncSemaphore(total: 1)
    private var machine: StateMachine
    private var waiting: [UInt64: CheckedContinuation<ByteLease, any Error>] = [:]
    private var nextID: UInt64 = 0
    /// The session that the work began in: what it found in the repository, it found as this one.
    private var firstSession: ControlID?
    /// Snapshots that were turned away because the session had changed, and the session since.
    private var turnedAway: [ObjectKey: ControlID] = [:]
    private var returnsSeen = 0

    private nonisolated let wakes: AsyncStream<Void>
    private nonisolated let waker: AsyncStream<Void>.Continuation

    public init(_ connection: ProviderConnection, repository: ControlID, settings: Settings = Settings()) {
        self.connection = connection
        self.repository = repository
        stopwatch = connection.stopwatch
        machine = StateMachine(settings: settings)
        (wakes, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Leases

    public func reserve(_ bytes: Int, for key: ObjectKey) async throws -> ByteLease {
        try Task.checkCancellation()
        nextID += 1
        let id = nextID
        let lease = ByteLease(id: id, key: key, bytes: bytes)
        defer { waker.yield() }
        switch machine.reserve(bytes, for: key, id: id, now: stopwatch.elapsed()) {
        case .granted: return lease
        case .refused(let error): throw error
        case .wait: break
        }
        waker.yield()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // Seen here, or the handler finds it waiting.
                if Task.isCancelled {
                    machine.cancel(id)
                    continuation.resume(throwing: CancellationError())
                } else {
                    waiting[id] = continuation
                    leases[id] = lease
                }
            }
        } onCancel: {
            Task { await self.cancel(id) }
        }
    }

    /// Of those that wait.
    private var leases: [UInt64: ByteLease] = [:]

    private func cancel(_ id: UInt64) {
        guard let continuation = waiting.removeValue(forKey: id) else { return }
        leases[id] = nil
        machine.cancel(id)
        continuation.resume(throwing: CancellationError())
    }

    public func commit(_ lease: ByteLease) async {
        machine.end(lease.id, isStored: true, now: stopwatch.elapsed())
        waker.yield()
    }

    public func release(_ lease: ByteLease) async {
        machine.end(lease.id, isStored: false, now: stopwatch.elapsed())
        waker.yield()
    }

    /// Whether this machine stores by itself and leases what it needs (the default), or somebody else reserves for it: a
    /// gateway server, or the provider with each ticket. Then what is leased goes back.
    public func setLeasing(_ isLeasing: Bool) {
        machine.setLeasing(isLeasing)
        waker.yield()
    }

    /// An object was stored without a lease, as with tickets, for which the provider has set its bytes aside: it is
    /// reported with the others.
    public func noteStored(_ key: ObjectKey, bytes: Int) {
        machine.note(ObjectRecord(key: key.path, length: bytes))
        waker.yield()
    }

    /// Reports all that was stored, and asks whether the session is alive (`docs/control-protocol.md`, 3).
    ///
    /// - Throws: `session_over`, retryable, once for each object when another session has begun since the work did: whoever
    ///   writes it proves first that everything that it needs is still there, and asks again.
    public func permit(_ key: ObjectKey, replacing replaced: ObjectKey? = nil) async throws {
        guard let session = try await connection.waitUntilConnected().session else { throw Self.changed }
        firstSession = firstSession ?? session
        if session != firstSession, turnedAway[key] != session {
            turnedAway[key] = session
            throw Self.changed
        }
        do {
            // Not before what is on its way has been answered.
            try await turn.withTaken { try await report(before: key, replacing: replaced, on: session) }
        } catch let error as HawserError where error.code == .sessionOver {
            throw Self.changed
        }
    }

    private func report(before key: ObjectKey, replacing replaced: ObjectKey?, on session: ControlID) async throws {
        while true {
            let batch = machine.takeRecords()
            let isLast = machine.records.isEmpty
            do {
                let answer = try await send(
                    batch,
                    before: isLast ? key : nil,
                    replacing: isLast ? replaced : nil,
                    on: session
                )
                machine.update(session: nil, quota: answer.quota, isReturnAsked: false)
            } catch {
                machine.notReported(batch)
                throw error
            }
            if isLast { return }
        }
    }

    public nonisolated var time: Timestamp? { connection.serverTime }

    public func receipts() async throws -> [ObjectName: SnapshotReceipt]? {
        try await connection.receipts(repository: repository)
    }

    private static let changed = HawserError(
        .sessionOver,
        "The provider has ended the session that this backup began in, after a silence of more than 15 minutes or by hand. Back "
            + "up again: what was stored is used again.",
        isRetryable: true
    )

    private func send(
        _ batch: [ObjectRecord],
        before key: ObjectKey? = nil,
        replacing replaced: ObjectKey? = nil,
        on session: ControlID?
    ) async throws -> CommitAnswer {
        let request = CommitRequest(objects: batch, snapshot: key?.path, replaces: replaced?.path)
        return try await connection.call(.post(ControlAPI.commits(repository), request), on: session)
    }

    // MARK: Life

    /// Asks for leases and reports what was stored, until the task is cancelled or there can be no session any more.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.watch() }
            group.addTask { try await self.work() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func watch() async throws {
        for await status in connection.statuses {
            if case .ended(let error) = status.phase {
                answer(machine.failed(error))
                throw error
            }
            guard status.session != nil else { continue }
            firstSession = firstSession ?? status.session
            let returns = status.returnsAsked[repository] ?? 0
            machine.update(
                session: status.session,
                quota: status.repository(repository)?.quota,
                isReturnAsked: returns > returnsSeen
            )
            returnsSeen = returns
            waker.yield()
        }
        throw CancellationError()
    }

    private func work() async throws {
        for await _ in wakes {
            try await turn.withTaken {
                while let work = machine.next(now: stopwatch.elapsed()) {
                    guard try await perform(work) else { break }
                }
            }
        }
        throw CancellationError()
    }

    /// - Returns: whether there may be more to do now.
    private func perform(_ work: StateMachine.Work) async throws -> Bool {
        let session = machine.session
        do {
            switch work {
            case .commit(let batch):
                machine.committed(try await send(batch, on: session).quota)
            case .lease(let ask):
                let answer: LeaseAnswer = try await connection.call(
                    .post(ControlAPI.leases(repository), ask.request),
                    on: session
                )
                // A lease of a session that has ended meanwhile is none.
                guard machine.session == session else {
                    machine.outdated()
                    return true
                }
                self.answer(machine.granted(answer, to: ask, now: stopwatch.elapsed()))
            }
            return true
        } catch let error as HawserError {
            switch (error.code, work) {
            case (.quotaExceeded, .lease(let ask)):
                answer(machine.refused(ask, now: stopwatch.elapsed()))
                return true
            case (.sessionOver, _):
                // The next status brings the new session.
                machine.notSent(work)
                return false
            case _ where error.isRetryable:
                // The next poll, or whoever needs room, wakes it.
                machine.notSent(work)
                return false
            default:
                answer(machine.failed(error))
                throw error
            }
        } catch {
            machine.notSent(work)
            throw error
        }
    }

    private func answer(_ served: StateMachine.Served) {
        for id in served.granted {
            if let lease = leases.removeValue(forKey: id) { waiting.removeValue(forKey: id)?.resume(returning: lease) }
        }
        for (id, error) in served.failed {
            leases[id] = nil
            waiting.removeValue(forKey: id)?.resume(throwing: error)
        }
    }

    /// Reports what is left and gives back what was not used. Once, when nothing is stored any more; what can't be sent is
    /// found by the provider.
    func settle() async {
        answer(machine.failed(HawserError(.unavailable, "The quota is no longer watched; nothing more can be stored.")))
        do {
            let session = machine.session
            while !machine.records.isEmpty { _ = try await send(machine.takeRecords(), on: session) }
            guard let request = machine.farewell() else { return }
            let _: LeaseAnswer = try await connection.call(.post(ControlAPI.leases(repository), request), on: session)
        } catch {
            connection.logger.notice("The session's end was not reported", metadata: ["error": "\(error)"])
        }
    }
}

/// Watches over the quota of a repository for the time of `body`, and settles at its end.
///
/// When the provider takes the session away (revoked, lease over), `body` is cancelled and the reason thrown.
public func withQuotaMonitor<Result: Sendable>(
    _ connection: ProviderConnection,
    repository: ControlID,
    settings: QuotaMonitor.Settings = .init(),
    _ body: @escaping @Sendable (QuotaMonitor) async throws -> Result
) async throws -> Result {
    let monitor = QuotaMonitor(connection, repository: repository, settings: settings)
    let result: Swift.Result<Result, any Error>
    do {
        let value = try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await monitor.run()
                return nil
            }
            group.addTask { try await body(monitor) }
            defer { group.cancelAll() }
            while let value = try await group.next() {
                if let value { return value }
            }
            throw CancellationError()
        }
        result = .success(value)
    } catch {
        result = .failure(error)
    }
    // Cancelled or not, but not for long: a provider who is away is not waited for.
    let farewell = Task { await monitor.settle() }
    let limit = Task {
        try await connection.stopwatch.sleep(ProviderConnection.longestFarewell)
        farewell.cancel()
    }
    await farewell.value
    limit.cancel()
    return try result.get()
}
