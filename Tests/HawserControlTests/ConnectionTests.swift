import Foundation
import HawserFormat
import HawserTesting
import Logging
import Synchronization
import Testing

@testable import HawserControl

@Suite("The connection to a provider")
struct ConnectionTests {
    private let world = World()
    private var provider: FakeProvider { world.provider }

    private func code(_ body: () async throws -> Void) async -> HawserError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? HawserError)?.code
        }
    }

    @Test("signs in, shows what the provider says, and says goodbye")
    func signIn() async throws {
        provider.state.withLock { $0.quota = QuotaState(limit: 100, used: 40, reserved: 10) }
        let connection = world.connection()
        let session = try await connection.whileRunning { [provider] in
            let status = try await connection.waitUntilConnected()
            #expect(status.repository(provider.repository)?.quota.free == 50)
            #expect(status.clockAhead == .seconds(100))
            #expect(connection.serverTime == Timestamp(seconds: 1_000))
            _ = try await connection.sessions()
            return status.session
        }
        #expect(provider.state.withLock { $0.closed } == [session])
        // None in its place, which nobody would close.
        #expect(provider.count("POST /v1/nonces") == 1)
        guard case .ended = connection.status.phase else {
            Issue.record("still there")
            return
        }
    }

    @Test("says goodbye also while it is coming back, by the gateway that is next")
    func goodbyeWhileAway() async throws {
        let connection = world.connection(random: 1)
        let session = try await connection.whileRunning { [provider] in
            let status = try await connection.link(1)
            provider.state.withLock { $0.dead = ["gw1:6180"] }
            provider.breakStreams()
            // At a clock that stands still the pause does not end.
            _ = try await connection.first { if case .away = $0.phase { true } else { false } }
            return status.session
        }
        #expect(provider.state.withLock { $0.closed } == [session])
    }

    @Test("goes through the next gateway when one is dead, also later")
    func gateways() async throws {
        provider.state.withLock { $0.dead = ["gw1:6180"] }
        let connection = world.connection()
        try await connection.whileRunning { [provider] in
            let first = try await connection.link(1)
            provider.state.withLock { $0.dead = ["gw2:6180"] }
            provider.breakStreams()
            let second = try await connection.link(2)
            #expect(second.session == first.session)
        }
        #expect(provider.count("dead gw1:6180") == 1)
        #expect(provider.count("POST /v1/sessions") == 1)
    }

    @Test("survives a restart of the server: requests wait, and are sent again when the answer was lost")
    func restart() async throws {
        let connection = world.connection()
        try await connection.whileRunning { [provider] in
            let first = try await connection.link(1)
            provider.fail("GET /v1/sessions", .answerLost)
            provider.fail("GET /v1/sessions", .lost)
            // Also while it is down.
            provider.fail("GET /v1/sessions/*/events", .lost)
            provider.fail("GET /v1/sessions/*/events", .lost)
            _ = try await connection.sessions()
            #expect(connection.status.session == first.session)
            #expect(connection.status.link > 2)
        }
        #expect(provider.allFired)
        #expect(provider.count("GET /v1/sessions") == 3)
        #expect(provider.count("POST /v1/sessions") == 1)
    }

    @Test("does not repeat a request for ever")
    func poison() async throws {
        let connection = world.connection()
        for _ in 0..<6 { provider.fail("GET /v1/sessions", .lost) }
        try await connection.whileRunning {
            let result = await self.code { _ = try await connection.sessions() }
            #expect(result == .unavailable)
        }
        #expect(provider.allFired)
    }

    @Test("waits as long as the server asks before it repeats a request")
    func tooManyRequests() async throws {
        let connection = world.connection()
        provider.fail("GET /v1/sessions", .problem(ControlProblem(.tooManyRequests, "slowly", retryAfter: 7)))
        try await connection.whileRunning { [clock = world.clock] in
            try await connection.link(1)
            async let sessions = connection.sessions()
            // Its poll, its watch, and this request.
            try await clock.waitForSleepers(3)
            clock.advance(by: .seconds(7))
            _ = try await sessions
            #expect(connection.status.link == 1)
        }
        #expect(provider.count("GET /v1/sessions") == 2)
    }

    @Test("takes the session up anew after 60 s of silence, and not while heartbeats come")
    func silence() async throws {
        let connection = world.connection()
        try await connection.whileRunning { [provider, clock = world.clock] in
            try await connection.link(1)
            for time in [30, 60, 90] as [Double] {
                try await clock.waitForSleepers(2)
                // Something that shows that it has arrived.
                provider.state.withLock { $0.quota.used = Int(time) }
                provider.send(.state(provider.sessionState))
                _ = try await connection.first { $0.repository(provider.repository)?.quota.used == Int(time) }
                clock.advance(by: .seconds(30))
            }
            #expect(connection.status.link == 1)
            try await clock.waitForSleepers(2)
            clock.advance(by: .seconds(30))
            let second = try await connection.link(2)
            #expect(second.session == connection.status.session)
        }
        #expect(provider.count("GET /v1/sessions/*/events") == 2)
        #expect(provider.count("GET /v1/sessions/*") >= 3)
    }

    @Test("opens a new session when the old one is over")
    func sessionOver() async throws {
        let connection = world.connection()
        try await connection.whileRunning { [provider] in
            let first = try await connection.link(1)
            provider.state.withLock { $0.sessions = [:] }
            #expect(await self.code { _ = try await connection.sessions() } == .sessionOver)
            let second = try await connection.link(2)
            #expect(second.session != first.session)
            _ = try await connection.sessions()
            // On the session before it is refused, without asking anybody.
            let old = await self.code {
                _ = try await connection.call(.get(ControlAPI.sessions), on: first.session, as: SessionList.self)
            }
            #expect(old == .sessionOver)
        }
        #expect(provider.count("POST /v1/sessions") == 2)
    }

    @Test("ends with the reason when the session is revoked, and so does the work")
    func revoked() async throws {
        let connection = world.connection()
        let wasCancelled = Mutex(false)
        let result = await code {
            try await connection.whileRunning { [provider] in
                try await connection.link(1)
                provider.send(.revoked(ControlProblem(.leaseOver, "over")))
                try? await Gate().pass()
                wasCancelled.withLock { $0 = Task.isCancelled }
            }
        }
        #expect(result == .leaseOver)
        #expect(wasCancelled.withLock { $0 })
        #expect(await code { _ = try await connection.sessions() } == .leaseOver)
    }

    @Test("comes back when it is told to")
    func reconnect() async throws {
        let connection = world.connection()
        try await connection.whileRunning { [provider, clock = world.clock] in
            let first = try await connection.link(1)
            provider.send(.reconnect(after: 12))
            _ = try await connection.first {
                if case .away = $0.phase { return true }
                return false
            }
            try await clock.waitForSleepers(1)
            clock.advance(by: .seconds(12))
            #expect(try await connection.link(2).session == first.session)
        }
        #expect(world.clock.sleeps.contains(.seconds(12)))
    }

    @Test("passes on what it is told, and ignores what it does not know")
    func events() async throws {
        let connection = world.connection()
        try await connection.whileRunning { [provider] in
            try await connection.link(1)
            let id = provider.repository
            provider.send(line: #"{"type":"later","what":1}"#)
            provider.send(.heartbeat)
            provider.send(.returnUnused(repository: id))
            provider.send(.returnUnused(repository: id))
            provider.send(.changeMode(repository: id, mode: .gateway))
            provider.send(.credentialsReady(repository: id, generation: 5))
            let status = try await connection.first { $0.repository(id)?.credentialsGeneration == 5 }
            #expect(status.returnsAsked[id] == 2)
            #expect(status.repository(id)?.mode == .gateway)
            #expect(status.link == 1)
            provider.send(line: "{}")
            try await connection.link(2)
        }
    }

    @Test("a jump of this machine's clock ends nothing and is seen at the next poll", arguments: [1e8, -800])
    func wallClock(jump: Double) async throws {
        let wall = Mutex(900.0)
        let connection = world.connection(wallClock: { wall.withLock { $0 } })
        try await connection.whileRunning { [clock = world.clock] in
            let first = try await connection.link(1)
            #expect(try await connection.first { $0.state != nil }.clockAhead == .seconds(100))
            wall.withLock { $0 += jump }
            // The next poll, and the watch over silence.
            try await clock.waitForSleepers(2)
            clock.advance(by: .seconds(30))
            let later = try await connection.first { $0.clockAhead == .seconds(100 - jump) }
            #expect(later.session == first.session && later.link == 1)
        }
        #expect(provider.count("POST /v1/sessions") == 1)
    }

    @Test("ends when this machine is not known")
    func unknownDevice() async {
        let connection = world.connection(key: DeviceKey())
        #expect(await code { try await connection.run() } == .notSignedIn)
        #expect(provider.count("POST /v1/sessions") == 2)
    }

    @Test("ends when nobody can be reached")
    func unreachable() async {
        let clock = ManualClock(advancesItself: true)
        let world = World(clock: clock)
        world.provider.state.withLock { $0.dead = ["gw1:6180", "gw2:6180"] }
        #expect(await code { try await world.connection(random: 1).run() } == .unavailable)
        #expect(clock.sleeps == [1, 2, 4, 8, 16].map { .seconds($0) })
    }

    @Test("ends when the server speaks other versions only")
    func versions() async throws {
        struct Way: ControlTransport {
            let base: any ControlTransport
            func send(_ request: ControlRequest) async throws -> Data {
                let answer = String(decoding: try await base.send(request), as: UTF8.self)
                return Data(
                    answer.replacing("\"max\":1", with: "\"max\":9").replacing("\"min\":1", with: "\"min\":7").utf8
                )
            }
            func follow(_ request: ControlRequest, onLine: @Sendable (Data) async throws -> Void) async throws {}
            func shutdown() async {}
        }
        let connection = ProviderConnection(
            world.profile,
            key: world.key,
            purpose: .backup,
            agent: "test",
            settings: .init(),
            logger: .init(label: "test"),
            clock: world.clock,
            makeTransport: { [provider] gateway, _ in Way(base: provider.transport(gateway)) },
            onProfileChange: { _ in }
        )
        #expect(await code { try await connection.run() } == .unsupported)
    }

    @Test("keeps other gateways and authorities that come over a trusted connection")
    func rotation() async throws {
        let certificate = try #require(World.certificate)
        provider.state.withLock {
            $0.gateways = ["gw1:6180", "gw3:6180"]
            $0.authorities = [certificate]
        }
        let changed = Mutex<ProviderProfile?>(nil)
        let connection = world.connection { profile in changed.withLock { $0 = profile } }
        try await connection.whileRunning { _ = try await connection.link(1) }
        let profile = try #require(changed.withLock { $0 })
        #expect(profile.authorities == [certificate])
        #expect(profile.gateways.map(\.description) == ["gw1:6180", "gw3:6180"])
    }

    @Test("keeps its authorities when the server sends none, or what is no certificate")
    func wrongAuthorities() async throws {
        for authorities in [[], [Data([1, 2, 3])]] {
            let world = World()
            world.provider.state.withLock { $0.authorities = authorities }
            let connection = world.connection { _ in Issue.record("changed") }
            try await connection.whileRunning { _ = try await connection.link(1) }
        }
    }

    @Test("can be cancelled at any time: while it connects, while it is connected, while it waits")
    func cancellation() async throws {
        let gate = Gate()
        provider.fail("POST /v1/nonces", .held(gate))
        for isConnected in [false, true] {
            let connection = world.connection()
            let task = Task { try await connection.run() }
            if isConnected { try await connection.link(1) } else { try await gate.waitForArrivals(1) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(await code { _ = try await connection.sessions() } == .unavailable)
        }
        let connection = world.connection()
        let request = Task { try await connection.sessions() }
        request.cancel()
        await #expect(throws: CancellationError.self) { try await request.value }
    }
}

@Suite("Lines of a stream")
struct LineSplitterTests {
    @Test("are the same however the stream is cut")
    func cuts() throws {
        let text = Array("first\n\nsecond\nthird".utf8)
        for cut in 0...text.count {
            var splitter = LineSplitter(longest: 10)
            let lines = try splitter.add(text[..<cut]) + splitter.add(text[cut...])
            #expect(lines == ["first", "second"].map { Data($0.utf8) })
            #expect(try splitter.add([10]) == [Data("third".utf8)])
        }
    }

    @Test("that are too long are refused before they are kept")
    func tooLong() {
        var splitter = LineSplitter(longest: 10)
        #expect(throws: HawserError.self) { try splitter.add(Array(repeating: 65, count: 11)) }
    }
}
