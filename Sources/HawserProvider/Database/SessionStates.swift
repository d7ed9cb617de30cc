import Dispatch
import GRDB
import HawserControl
import HawserFormat
import Synchronization

/// Reads what sessions know of their tenants. Those who ask while a read is under way share the next one: a change that
/// concerns all would otherwise be a transaction for each stream.
final class SessionStates: Sendable {
    private typealias Job = (session: SessionRecord, answer: CheckedContinuation<SessionState, any Error>)

    // So that the first of thousands does not wait for the last one's.
    private static let largestGroup = 256

    // Of nobody's task: who stops waiting ends no others' read.
    private let queue = DispatchQueue(label: "hawser.provider.states")
    private let waiting = Mutex<[Job]>([])

    func state(of session: SessionRecord, in database: ConfigurationDatabase) async throws -> SessionState {
        try await withCheckedThrowingContinuation { continuation in
            let count = waiting.withLock { waiting in
                waiting.append((session, continuation))
                return waiting.count
            }
            if count == 1 { queue.async { self.read(database) } }
        }
    }

    private func read(_ database: ConfigurationDatabase) {
        let (jobs, isMore) = waiting.withLock { waiting in
            let jobs = Array(waiting.prefix(Self.largestGroup))
            waiting.removeFirst(jobs.count)
            return (jobs, !waiting.isEmpty)
        }
        if isMore { queue.async { self.read(database) } }
        do {
            let states = try database.states(of: jobs.map(\.session))
            for (job, state) in zip(jobs, states) { job.answer.resume(with: state) }
        } catch {
            for job in jobs { job.answer.resume(throwing: providerError(error, place: database.path)) }
        }
    }
}

extension ConfigurationDatabase {
    /// All that a session knows of its tenant, from one moment.
    ///
    /// - Throws: `notFound` when there is no such tenant.
    func state(of session: SessionRecord) async throws -> SessionState {
        try await sessionStates.state(of: session, in: self)
    }

    fileprivate func states(of sessions: [SessionRecord]) throws -> [Result<SessionState, any Error>] {
        let wall = clock.wall
        return try pool.read { db in
            let maintenance = try Setting.maintenance.read(db)
            return sessions.map { session in Result { try db.state(of: session, wall, maintenance: maintenance) } }
        }
    }
}

extension Database {
    fileprivate func state(of session: SessionRecord, _ wall: Moment, maintenance: String?) throws -> SessionState {
        // Only what is needed of the settings: decoding them took most of the time.
        let state = try first(
            "SELECT isEnabled, leaseEnd, json_extract(settings, '$.bandwidth') AS bandwidth FROM tenant WHERE id = ?",
            [session.tenant.text]
        ) { tenant in
            SessionState(
                serverTime: wall.seconds,
                lease: LeaseState(
                    isEnabled: tenant["isEnabled"],
                    expiresIn: tenant.moment("leaseEnd").map { Int(($0 - wall) / .seconds(1)) }
                ),
                repositories: try repositories(of: session),
                maintenance: maintenance,
                bandwidth: tenant["bandwidth"]
            )
        }
        guard let state else {
            throw HawserError(.notFound, "There is no such tenant.", place: session.tenant.text)
        }
        return state
    }

    private func repositories(of session: SessionRecord) throws -> [RepositoryState] {
        try rows(
            """
            SELECT repository.id, repository.name, json_extract(repository.settings, '$.mode') AS mode, folder.generation,
                EXISTS (SELECT 1 FROM deletion WHERE folder = folder.id AND \(DeletionRecord.isPending)) AS isDeleting
            FROM folder JOIN repository ON repository.id = folder.repository
            WHERE folder.tenant = ? AND IFNULL(folder.subtenant, '') = ? ORDER BY repository.name
            """,
            [session.tenant.text, session.subtenant?.text ?? ""]
        ).map { row in
            let repository = try row.id("id")
            return RepositoryState(
                repository: repository,
                name: row["name"],
                quota: try Account(self, session.tenant, session.subtenant, repository).quota,
                mode: try row.choice("mode"),
                credentialsGeneration: row["generation"],
                hasPendingDeletions: row["isDeleting"]
            )
        }
    }
}
