import Foundation
import HawserTestServer
import HawserTesting
import Testing

/// What of a provider fails in the middle of a backup and of a restore, by each way that data can go. The middle is
/// where the storage sees a certain request: it holds that until the failure has happened, so nothing depends on time.
@Suite("Failures in the middle", .serialized)
struct FailureMatrixTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var mode: Mode
        var failure: Failure
        var moments: [Moment]

        var testDescription: String { "\(failure), \(mode)" }

        static let all = Mode.allCases.flatMap { mode in
            Failure.all(in: mode).map { (mode, $0) }
        }.enumerated().map { index, tried in
            // Each failure at another moment, unless there is time for all of them.
            let moments = TestScale.isFull ? backupMoments : [backupMoments[index % backupMoments.count]]
            return Case(mode: tried.0, failure: tried.1, moments: moments)
        }
    }

    typealias Mode = ProviderScene.Mode

    enum Failure {
        /// Killed and started again.
        case relayKilled, serverKilled, gatewayServerKilled
        /// The storage does not go on until two commands wait for it, and then does, or breaks the connection.
        case storageStalls, storageStallsAndBreaks
        /// The storage does not go on until somebody has lost patience and asks again: a minute each.
        case storageStallsForLong

        static func all(in mode: Mode) -> [Failure] {
            [.relayKilled, .serverKilled] + (mode == .gateway ? [.gatewayServerKilled] : [])
                + [.storageStalls, .storageStallsAndBreaks] + (TestScale.isFull ? [.storageStallsForLong] : [])
        }

        var killed: ProviderScene.Role? {
            switch self {
            case .relayKilled: .relay
            case .serverKilled: .server
            case .gatewayServerKilled: .mover
            case .storageStalls, .storageStallsAndBreaks, .storageStallsForLong: nil
            }
        }
    }

    /// A request at which something happens.
    struct Moment {
        var name: String
        var kind: RequestKind
        var keys: String
        var isBefore: Bool = false
    }

    static let backupMoments: [Moment] = [
        // A part of the object has arrived.
        Moment(name: "data", kind: .put, keys: "/packs/d/", isBefore: true),
        // These are stored, and nobody has been told.
        Moment(name: "metadata", kind: .put, keys: "/packs/m/"),
        Moment(name: "snapshot", kind: .put, keys: "/snapshots/"),
    ]
    static let restoreMoment = Moment(name: "restore", kind: .get, keys: "/packs/d/", isBefore: true)

    private static let size = 2 << 20

    @Test(
        "Backups and restores come through, snapshots stay whole, and no byte of the quota is lost",
        arguments: Case.all
    )
    func matrix(_ tried: Case) async throws {
        try await ProviderScene.withRepository(tried.mode) { scene in
            var generator = SeededGenerator(seed: TestScale.seed)
            for moment in tried.moments {
                try Data(generator.bytes(Self.size)).write(
                    to: URL(filePath: scene.tenant.source + "/file-" + moment.name)
                )
                let backup = ["backup", scene.tenant.source, "--json"]
                try await run(backup, scene, moment, tried.failure).expect(0)
                try await expectUsed(scene)
            }
            let restore = ["restore", "latest", "--target", scene.tenant.directory.path + "/target", "--json"]
            try await run(restore, scene, Self.restoreMoment, tried.failure).expect(0)
            try await TreeComparison.expectEqual(scene.tenant.source, scene.tenant.restored("target"))
            try await scene.tenant.hawser("check", "--read-data").expect(0)
            #expect(try await scene.tenant.snapshots().count == 2 * tried.moments.count)
            try await scene.expectExactLedger()
        }
    }

    /// What a backup has stored is used by the next: nothing of it is stored again, under another key or the same. A
    /// request of the first that was given up may come to its end only now.
    private func expectUsed(_ scene: ProviderScene) async throws {
        let stored = try await scene.stored()
        let keys = Set(scene.storage.keys(in: "hawser") ?? [])
        let earlier = scene.storage.requests.map(\.number).max() ?? 0
        let known = scene.requests(.put, "/packs/d/").compactMap(\.key)
        #expect(!keys.isDisjoint(with: known))
        try await scene.tenant.backup()
        let after = try await scene.stored()
        #expect(after < stored + Self.size)
        let again = scene.requests(.put, "/packs/d/").filter { $0.number > earlier }.compactMap(\.key)
        #expect(keys.isDisjoint(with: again))
    }

    @Test(
        "When a tenant's network is gone, backup and restore go on or end in order",
        arguments: Mode.allCases
    )
    func networkGone(_ mode: Mode) async throws {
        try await ProviderScene.withRepository(mode) { scene in
            let tenant = scene.tenant
            var generator = SeededGenerator(seed: TestScale.seed)
            func write(_ name: String) throws {
                try Data(generator.bytes(Self.size)).write(to: URL(filePath: tenant.source + "/" + name))
            }
            try write("before")
            let first = try await tenant.backup()
            try write("after")
            let (storing, reading) = (Gate(), Gate())
            let data = ServerFault.Keys.containing("/packs/d/")
            scene.storage.add(ServerFault(.holdRequest(afterBytes: 1 << 20, storing), on: [.put], keys: data))
            scene.storage.add(ServerFault(.holdBody(afterBytes: 100_000, reading), on: [.get], keys: data))
            let target = tenant.directory.path + "/target"
            let backup = try tenant.start(["backup", tenant.source, "--json"])
            let restore = try tenant.start(["restore", first.snapshot, "--target", target, "--json"])
            defer { for command in [backup, restore] { command.send(SIGKILL) } }
            for gate in [storing, reading] { try await gate.waitForArrivals(1) }
            try await scene.end(.relay, SIGKILL)
            if mode == .tickets { scene.storage.add(ServerFault(.resetBefore, occurrence: .every)) }
            for gate in [storing, reading] { gate.open() }
            try await Task.sleep(for: .seconds(TestScale.isFull ? 600 : 5))
            scene.storage.removeFaults()
            try await scene.start(.relay)
            let results = [try await backup.result(), try await restore.result()]
            for result in results {
                let reason = result.message("exit_error")?["reason"] as? String
                #expect(result.status == 0 || reason == "unavailable", "\(result)")
            }
            let hasGoneOn = results[0].status == 0
            func file(_ folder: String) throws -> Data { try Data(contentsOf: URL(filePath: folder + "/before")) }
            if results[1].status == 0 { #expect(try file(tenant.restored("target")) == file(tenant.source)) }
            // Who ends while there is no network can't say goodbye: that is noticed after 15 minutes of silence.
            for left in try await scene.sessions() { try await scene.system.provider("session", "end", left) }
            scene.storage.resetCounts()
            try await tenant.backup()
            // What was stored before is used.
            let again = scene.requests(.put, "/packs/d/").reduce(0) { $0 + $1.bytesIn }
            #expect(again < (hasGoneOn ? 1 : 2 * Self.size))
            // One that has ended may have stored its snapshot, and nobody could tell it.
            let snapshots = try await tenant.snapshots().count
            #expect(snapshots == 3 || !hasGoneOn && snapshots == 2)
            // A restore that has ended is done again over what it has left.
            try await tenant.restore("latest", to: "target").expect(0)
            try await TreeComparison.expectEqual(tenant.source, tenant.restored("target"))
            try await tenant.hawser("check", "--read-data").expect(0)
            try await scene.expectExactLedger(hasOpenTickets: mode == .tickets && !hasGoneOn)
        }
    }

    /// Runs the tenant's command, and lets the failure happen when the storage sees the request.
    private func run(
        _ arguments: [String],
        _ scene: ProviderScene,
        _ moment: Moment,
        _ failure: Failure
    ) async throws -> CommandResult {
        let gate = Gate()
        let (held, broken): (ServerFault.Effect, ServerFault.Effect) =
            switch (moment.isBefore, moment.kind) {
            case (true, .put): (.holdRequest(afterBytes: 1 << 20, gate), .cutRequest(afterBytes: 1 << 20))
            case (true, _): (.holdBody(afterBytes: 100_000, gate), .cutBody(afterBytes: 200_000))
            case (false, _): (.holdAnswer(gate), .resetAfter)
            }
        func fault(_ effect: ServerFault.Effect) -> ServerFault {
            ServerFault(effect, on: [moment.kind], keys: .containing(moment.keys))
        }
        scene.storage.add(fault(held))
        if failure == .storageStallsAndBreaks { scene.storage.add(fault(broken)) }
        let command = try scene.tenant.start(arguments)
        defer {
            gate.open()
            command.send(SIGKILL)
        }
        try await gate.waitForArrivals(1)
        if let role = failure.killed {
            try await scene.end(role, SIGKILL)
            try await scene.start(role)
        }
        switch failure {
        case .storageStalls, .storageStallsAndBreaks: try await stall(scene, with: gate)
        case .storageStallsForLong: break
        default: gate.open()
        }
        let result = try await command.result()
        try scene.storage.verifyAllFired()
        scene.storage.removeFaults()
        return result
    }

    /// Nothing goes on at the storage until another command of the tenant waits for it too.
    ///
    /// - Parameter gate: at which the first one waits; it is opened.
    private func stall(_ scene: ProviderScene, with gate: Gate) async throws {
        let (opening, all) = (Gate(), Gate())
        // With the list of these each command opens the repository.
        scene.storage.add(ServerFault(.hold(opening), keys: .containing("/keys/"), occurrence: .every))
        scene.storage.add(ServerFault(.hold(all), occurrence: .every))
        let other = try scene.tenant.start(["snapshots"])
        try await opening.waitForArrivals(1)
        for gate in [gate, opening, all] { gate.open() }
        try await other.result().expect(0)
    }
}
