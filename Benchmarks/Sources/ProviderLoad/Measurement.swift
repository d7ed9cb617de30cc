import Foundation

/// All that is measured, one after the other, with the same tenants and the same database.
struct Measurement {
    private static let quota = 1 << 50
    // Admin requests at a time, and tenants that sign up.
    private static let clerks = 64

    private let provider: Provider
    private let door: Door
    private let options: Options
    private let arrivals = Arrivals()
    private var table = Table()

    init(_ provider: Provider, _ door: Door, _ options: Options) {
        self.provider = provider
        self.door = door
        self.options = options
    }

    /// With a second connection, for requests: as many as there are descriptors for, here and in the server.
    private var requesters: Int {
        var files = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        return min(options.tenants, max(1, Int(clamping: files.rlim_cur) - options.tenants - 700))
    }

    mutating func run() async throws -> Table {
        try await withThrowingDiscardingTaskGroup { group in
            var tenants: [Tenant] = []
            let begin = ContinuousClock.now
            // In batches, since a connection without a stream is ended after a while.
            while tenants.count < options.tenants {
                let first = tenants.count
                let batch = try await signUp(first..<min(first + 500, options.tenants))
                for (tenant, connection) in batch {
                    group.addTask { [arrivals] in await tenant.follow(arrivals, over: connection) }
                    tenants.append(tenant)
                }
            }
            try await allConnected(within: .seconds(60))
            let each = begin.duration(to: .now) / .seconds(1) / Double(options.tenants)
            say("\(options.tenants) tenants were added and signed in, \((each * 1000).shown()) ms each")
            try await streams()
            try await changes()
            let asking = Array(tenants.prefix(requesters))
            try await connections(asking)
            try await leases(asking)
            try await tickets(asking)
            try await ledger(of: tenants)
            try await restart(asking, by: SIGTERM, "SIGTERM")
            try await ledger(of: tenants)
            try await restart(asking, by: SIGKILL, "kill -9")
            try await ledger(of: tenants)
            table.add("memory at the end", try memory(), limit: "")
            group.cancelAll()
            for tenant in tenants { tenant.close() }
        }
        return table
    }

    private func signUp(_ numbers: Range<Int>) async throws -> [(Tenant, Connection)] {
        let signedUp = Collected<(Tenant, Connection)>()
        try await spread(numbers.count, over: Self.clerks) { [provider, door] index in
            let number = numbers.lowerBound + index
            let code = try await provider.addTenant(number, limit: Self.quota)
            let connection = try await door.connect(number)
            signedUp.add((try await Tenant(number, code: code, door, over: connection), connection))
        }
        return signedUp.all
    }

    private func allConnected(within limit: Duration) async throws {
        let end = ContinuousClock.now + limit
        while arrivals.connected < options.tenants {
            guard .now < end else {
                throw Provider.Failed(description: "only \(arrivals.connected) of \(options.tenants) are connected")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func memory() throws -> String { "\(try provider.memory() >> 20) MiB" }

    // MARK: Tenants that are connected

    private mutating func streams() async throws {
        try await Task.sleep(for: .seconds(5))
        table.add(
            "memory, \(options.tenants) event streams",
            try memory(),
            limit: "1024 MiB",
            holds: try provider.memory() < 1 << 30
        )
        let heartbeats = arrivals.heartbeats
        let share = try await idleShare { _ in }
        table.add(
            "a core's share, \(arrivals.heartbeats - heartbeats) heartbeats in \(options.idle) s",
            "\((share * 100).shown(1)) %",
            limit: "10 %",
            holds: share < 0.1
        )
    }

    private func idleShare(_ meanwhile: (ContinuousClock.Instant) async throws -> Void) async throws -> Double {
        let (begin, cpu) = (ContinuousClock.now, try provider.cpu())
        let end = begin + .seconds(options.idle)
        try await meanwhile(end)
        try await Task.sleep(until: end)
        return (try provider.cpu() - cpu) / (begin.duration(to: .now) / .seconds(1))
    }

    /// Connections for requests besides, on which each tenant asks every 30 s for the state.
    private mutating func connections(_ tenants: [Tenant]) async throws {
        try await spread(tenants.count, over: Self.clerks) { try await tenants[$0].poll() }
        table.add("memory, \(tenants.count) more connections for requests", try memory())
        let share = try await idleShare { end in
            let polls = await ask(tenants, workers: tenants.count, rate: Double(tenants.count) / 30, until: end) {
                try await $0.poll()
            }
            for failure in polls.failures.prefix(5) { say("poll: \(failure)") }
        }
        table.add("a core's share, with a poll of each of them every 30 s", "\((share * 100).shown(1)) %")
    }

    // MARK: Changes

    private mutating func changes() async throws {
        try await quotas(min(1000, options.tenants), limit: 1)
        try await Task.sleep(for: .seconds(5))
        try await maintenance()
        try await Task.sleep(for: .seconds(5))
        if options.tenants > 1000 { try await quotas(options.tenants, limit: nil) }
        try await Task.sleep(for: .seconds(5))
    }

    /// - Parameter limit: seconds from the first command to the last tenant that hears of it.
    private mutating func quotas(_ count: Int, limit: Double?) async throws {
        let quota = Self.quota - Int.random(in: 1...1_000_000)
        arrivals.listen(for: "\"limit\":\(quota),")
        let answered = Collected<(Int, ContinuousClock.Instant)>()
        let begin = ContinuousClock.now
        try await spread(count, over: Self.clerks) { [provider] number in
            try await provider.setQuota(number, quota)
            answered.add((number, .now))
        }
        let commands = begin.duration(to: .now) / .seconds(1)
        let heard = try await arrivals.times(of: count, within: .seconds(60))
        let last = (heard.values.max().map { begin.duration(to: $0) } ?? .zero) / .seconds(1)
        let delays = answered.all.compactMap { number, time in
            heard[number].map { max(0, time.duration(to: $0) / .seconds(1)) }
        }
        table.add(
            "\(count) quotas set one by one (the commands took \(commands.shown()) s): \(heard.count) tenants heard of "
                + "theirs; the last after the first command; the longest after its own command's answer",
            "\(last.shown()) s; \((delays.max() ?? 0).shown()) s",
            limit: limit.map { "\(Int($0)) s" } ?? "",
            holds: heard.count == count && last < limit ?? .infinity
        )
    }

    private mutating func maintenance() async throws {
        let message = "load \(Int.random(in: 0...999_999))"
        arrivals.listen(for: message)
        let (begin, cpu) = (ContinuousClock.now, try provider.cpu())
        try await provider.setMaintenance(message)
        let command = begin.duration(to: .now) / .seconds(1)
        let heard = try await arrivals.times(of: options.tenants, within: .seconds(60))
        let last = (heard.values.max().map { begin.duration(to: $0) } ?? .zero) / .seconds(1)
        table.add(
            "a change for all (maintenance; the command took \(command.shown()) s): the last of \(heard.count) tenants "
                + "heard of it; the server's processor time",
            "\(last.shown()) s; \((try provider.cpu() - cpu).shown()) s",
            limit: "2 s",
            holds: heard.count == options.tenants && last < 2
        )
        try await provider.setMaintenance(nil)
    }

    // MARK: Leases and tickets

    private mutating func leases(_ tenants: [Tenant]) async throws {
        let most = await ask(tenants, workers: 512, until: .now + .seconds(options.seconds)) { try await $0.lease() }
        report(most)
        table.add(
            "leases a second, each settling the one before, 512 at a time",
            "\(most.perSecond.shown(0)), p99 \((most.percentile(0.99) * 1000).shown(0)) ms",
            limit: "\(options.rate)",
            holds: most.perSecond >= Double(options.rate) && most.failures.isEmpty
        )
        let paced = await ask(
            tenants,
            workers: 1024,
            rate: Double(options.rate),
            until: .now + .seconds(options.seconds)
        ) { try await $0.lease() }
        report(paced)
        let p99 = paced.percentile(0.99) * 1000
        table.add(
            "\(options.rate) leases a second at fixed times: p50, p99, longest",
            "\((paced.percentile(0.5) * 1000).shown(0)), \(p99.shown(0)), \((paced.percentile(1) * 1000).shown(0)) ms",
            limit: "p99 50 ms",
            holds: p99 < 50 && paced.failures.isEmpty
        )
    }

    private mutating func tickets(_ tenants: [Tenant]) async throws {
        let batches = await ask(tenants, workers: 32, until: .now + .seconds(options.seconds)) {
            try await $0.tickets(64)
        }
        report(batches)
        let perSecond = batches.perSecond * 64
        table.add(
            "tickets a second, 64 in a request, 32 requests at a time; p99 of a request",
            "\(perSecond.shown(0)); \((batches.percentile(0.99) * 1000).shown(0)) ms",
            limit: "10000",
            holds: perSecond >= 10_000 && batches.failures.isEmpty
        )
    }

    private func report(_ latencies: Latencies) {
        for failure in Set(latencies.failures).prefix(5) { say("failed: \(failure)") }
        if !latencies.failures.isEmpty { say("\(latencies.failures.count) failures") }
    }

    /// The server's books beside those of the tenants, to the byte.
    private mutating func ledger(of tenants: [Tenant]) async throws {
        let books = tenants.reduce(Tenant.Books()) { $0 + $1.books }
        let (committed, reserved) = try await provider.ledger()
        let isExact = committed == books.used && committed + reserved == books.granted
        table.add(
            "bytes in the ledger after \(books.leases) leases and \(books.tickets) tickets: used, reserved",
            "\(committed), \(reserved)",
            limit: "\(books.used), \(books.granted - books.used)",
            holds: isExact
        )
    }

    // MARK: Restarts

    private mutating func restart(_ tenants: [Tenant], by signal: Int32, _ name: String) async throws {
        arrivals.listen(for: "\"type\":\"state\"")
        let rate = Double(options.rate)
        async let load = ask(tenants, workers: 1024, rate: rate, until: .now + .seconds(45)) { try await $0.lease() }
        try await Task.sleep(for: .seconds(3))
        let begin = ContinuousClock.now
        try await provider.end(signal)
        let down = begin.duration(to: .now) / .seconds(1)
        try await provider.start()
        let up = begin.duration(to: .now) / .seconds(1)
        let heard = try await arrivals.times(of: options.tenants, within: .seconds(120))
        let last = (heard.values.max().map { begin.duration(to: $0) } ?? .zero) / .seconds(1)
        let asked = await load
        report(asked)
        let sessions = try await provider.sessions()
        table.add(
            "\(name) under \(options.rate) leases a second (ended after \(down.shown()) s, took connections after "
                + "\(up.shown()) s): the last of \(heard.count) sessions is back; sessions lost",
            "\(last.shown(1)) s; \(options.tenants - min(sessions, heard.count) + arrivals.lost)",
            limit: "30 s; 0",
            holds: heard.count == options.tenants && sessions == options.tenants && arrivals.lost == 0 && last < 30
                && asked.failures.isEmpty
        )
    }
}
