import Foundation
import GRDB
import HawserControl
import HawserFormat
import HawserTesting
import Testing

@testable import HawserProvider

/// A server that is killed leaves the database's log as far as it had written it.
@Suite struct LedgerCrashTests {
    private enum Step: Sendable {
        /// Writes at least one transaction.
        case database(@Sendable (inout Life) async throws -> Void)
        /// The storage or the time.
        case world(@Sendable (inout Life) -> Void)

        func run(_ life: inout Life) async throws {
            switch self {
            case .database(let body): try await body(&life)
            case .world(let body): body(&life)
            }
        }

        var writes: Bool { if case .database = self { true } else { false } }
    }

    private static let steps: [Step] = [
        .database { _ = try await $0.database.lease($0.backup, lease: $0.leases[0], bytes: 300) },
        .world { $0.store($0.objects[0], in: $0.folder) },
        .database { _ = try await $0.database.commit($0.backup, [$0.objects[0]]) },
        // A gateway server's lease, in the subtenant's folder.
        .database { _ = try await $0.database.lease($0.part, lease: $0.leases[1], bytes: 200, isExact: true) },
        .world { $0.store($0.objects[1], in: $0.partFolder) },
        .database { _ = try await $0.database.commit($0.part, [$0.objects[1]]) },
        .database { _ = try await $0.database.settle($0.part, [LeaseSettlement(lease: $0.leases[1], used: 150)]) },
        // One ticket is used and told, one is used and not told, one is never used.
        .database { _ = try await $0.database.reserve($0.backup, Array($0.objects[2...4])) },
        .world { $0.store($0.objects[2], in: $0.folder) },
        .world { $0.store($0.objects[3], in: $0.folder) },
        .database { _ = try await $0.database.commit($0.backup, [$0.objects[2]], before: $0.snapshot) },
        .database { _ = try await $0.database.settle($0.backup, [LeaseSettlement(lease: $0.leases[0], used: 120)]) },
        .database { life in
            // What is settled along with a refused request stays settled.
            await expectError(.quotaExceeded) {
                try await life.database.lease(
                    life.backup,
                    lease: life.leases[3],
                    bytes: 1000,
                    settled: [LeaseSettlement(lease: life.leases[0], used: 130)]
                )
            }
        },
        .database { _ = try await $0.database.lease($0.backup, lease: $0.leases[2], bytes: 90) },
        .world { $0.store($0.objects[5], in: $0.folder) },
        .database { _ = try await $0.database.lease($0.part, lease: $0.leases[4], bytes: 60) },
        .world { $0.provider.advance(.seconds(900)) },
        .database { try await $0.database.beat() },
        .database { try await $0.database.endSession($0.backup.session) },
        .database { try await $0.database.endSession($0.part.session) },
        .database { life in
            for work in try await life.database.unprovenWork() {
                let stored = life.stored(work.folder)
                let told = try await life.database.told(stored, in: work.folder)
                let unknown = stored.filter { !told.contains($0.key) }.reduce(0) { $0 + $1.length }
                _ = try await life.database.reconcile(work, unknown: unknown)
            }
        },
        .world { $0.provider.advance(.seconds(80 * 60)) },
        .database { life in
            for ticket in try await life.database.endedTickets() {
                let isStored = life.storage.contains { $0.key.key == ticket.key }
                try await life.database.settle(ticket, isStored: isStored)
            }
        },
        .database { _ = try await $0.database.requestDeletion($0.prune, keys: [$0.objects[0].key], pending: 120) },
        .database { life in
            for deletion in try await life.database.dueDeletions() {
                let there = life.storage.keys.filter { deletion.keys.contains($0.key) }
                let measured = try await life.database.measureDeletion(
                    deletion.id,
                    bytes: there.reduce(0) { $0 + $1.length }
                )
                for object in there { life.storage[object] = nil }
                try await life.database.finishDeletion(deletion.id, freed: try #require(measured))
            }
        },
        .database { life in
            for folder in [life.folder, life.partFolder] {
                _ = try await life.database.reconcile(folder, listing: listing(life.stored(folder)))
            }
        },
    ]

    private struct Crash {
        let step: Int
        /// Bytes of the log.
        let written: Int
        /// As it was then.
        let life: Life
        let time: Duration
    }

    /// In the midst of every transaction of every step, and after it, so that its answer is lost: the client, or the
    /// restarted server, does the step again, and from there on every sum is as if nothing had happened.
    @Test func aKillBetweenAnyTwoWritesChangesNoSum() async throws {
        try await TestProvider.with { provider in
            var life = try await Life(provider)
            // Only the log grows then, so that each beginning of it is what a kill could have left.
            try await provider.database.pool.writeWithoutTransaction {
                try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0")
            }
            let log = provider.folder.database + "-wal"
            #expect(try Data(contentsOf: URL(filePath: log)).isEmpty)
            var sums: [[FolderSums]] = []
            var crashes: [Crash] = []
            for (number, step) in Self.steps.enumerated() {
                let (before, time) = (life, provider.monotonic.now.offset)
                let begun = try Data(contentsOf: URL(filePath: log)).count
                try await step.run(&life)
                sums.append(try await life.checkedSums("step \(number)"))
                let ends = Self.transactions(try Data(contentsOf: URL(filePath: log))).filter { $0 > begun }
                #expect(ends.isEmpty != step.writes, "step \(number)")
                var last = begun
                for end in ends {
                    // In the midst of a transaction it is as if that had not begun.
                    for (written, done) in [((last + end) / 2, last), (end, end)] {
                        // Between two transactions the storage may be changed already, or not yet.
                        let lives = done == begun ? [before] : done == ends.last ? [life] : [before, life]
                        crashes += lives.map { Crash(step: number, written: written, life: $0, time: time) }
                    }
                    last = end
                }
            }
            let exact = try #require(sums.dropLast().last)
            #expect(exact.map(\.reserved) == [0, 0])
            #expect(exact.map(\.unproven) == [0, 0])
            #expect(
                exact.map(\.committed) == [life.folder, life.partFolder].map(life.bytes),
                "before the last listing"
            )
            #expect(sums.last == exact)

            let written = try Data(contentsOf: URL(filePath: log))
            for (number, crash) in crashes.enumerated() {
                let folder = try Self.copy(provider.folder, number, log: written.prefix(crash.written))
                var life = crash.life
                life.provider = TestProvider(folder)
                life.provider.advance(crash.time)
                try await life.provider.reopen()
                for (step, body) in Self.steps.enumerated().dropFirst(crash.step) {
                    let place = "killed in step \(crash.step) after \(crash.written) bytes, step \(step)"
                    try await body.run(&life)
                    #expect(try await life.checkedSums(place) == sums[step], "\(place)")
                }
                _ = try await life.database.verifyAudit()
                try await life.database.close()
            }
        }
    }

    /// - Returns: where each transaction of the log ends. A frame is a page with 24 bytes before it, of which the
    ///   second four are 0 but in a transaction's last (SQLite's file format, 4.1).
    private static func transactions(_ log: Data) -> [Int] {
        func number(_ place: Int) -> Int { log[place..<place + 4].reduce(0) { $0 << 8 | Int($1) } }
        guard log.count > 32 else { return [] }
        let frame = 24 + number(8)
        return stride(from: 32, to: log.count, by: frame).filter { number($0 + 4) != 0 }.map { $0 + frame }
    }

    private static func copy(_ folder: ProviderFolder, _ number: Int, log: Data) throws -> ProviderFolder {
        let copy = ProviderFolder(folder.path + "/crash-\(number)")
        let files = FileManager.default
        try files.createDirectory(atPath: copy.path, withIntermediateDirectories: false)
        try files.copyItem(atPath: folder.database, toPath: copy.database)
        try files.copyItem(atPath: folder.keyFile, toPath: copy.keyFile)
        #expect(files.createFile(atPath: copy.database + "-wal", contents: log))
        return copy
    }
}

private struct FolderSums: Equatable {
    let committed: Int
    let reserved: Int
    let belowCommitted: Int
    let belowReserved: Int
    let unproven: Int
    let outside: Int

    init(_ record: FolderRecord) {
        committed = record.committed
        reserved = record.reserved
        belowCommitted = record.belowCommitted
        belowReserved = record.belowReserved
        unproven = record.unproven
        outside = record.outside
    }
}

/// A tenant and its subtenant, whose requests have names and objects of their own from the beginning.
private struct Life {
    var provider: TestProvider
    let folder: ControlID
    let partFolder: ControlID
    let backup: LedgerTarget
    let part: LedgerTarget
    let prune: LedgerTarget
    let leases = (0..<5).map { _ in ControlID.random() }
    let objects = [120, 150, 100, 70, 80, 90].map(object)
    let snapshot = key()
    /// With the folder that each is in.
    var storage: [ObjectRecord: ControlID] = [:]

    init(_ provider: TestProvider) async throws {
        self.provider = provider
        let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
        let subtenant = try await tenant.subtenant("part", limit: 400)
        (folder, partFolder) = (tenant.folder, subtenant.folder)
        backup = try await tenant.session()
        part = try await subtenant.session()
        prune = try await tenant.session(.prune)
    }

    var database: ConfigurationDatabase { provider.database }

    mutating func store(_ object: ObjectRecord, in folder: ControlID) { storage[object] = folder }
    func stored(_ folder: ControlID) -> [ObjectRecord] { storage.filter { $0.value == folder }.map(\.key) }
    func bytes(_ folder: ControlID) -> Int { stored(folder).reduce(0) { $0 + $1.length } }

    /// Less than is stored never counts, and more than the quota never does.
    func checkedSums(_ place: String) async throws -> [FolderSums] {
        let records = [try await database.folder(folder), try await database.folder(partFolder)]
        for record in records {
            #expect(record.committed + record.reserved >= bytes(record.id), "\(place)")
            #expect(record.used + record.allReserved <= record.limit ?? 0, "\(place)")
        }
        #expect(records[0].belowCommitted == records[1].committed, "\(place)")
        #expect(records[0].belowReserved == records[1].reserved, "\(place)")
        return records.map(FolderSums.init)
    }
}
