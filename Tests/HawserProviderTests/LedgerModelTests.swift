import HawserControl
import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserProvider

/// Random lives of honest clients that crash, come late and forget, beside a storage that is known exactly.
@Suite struct LedgerModelTests {
    @Test func theLedgerNeverCountsLessThanIsStored() async throws {
        let seeds = [UInt64](0..<6) + [.random(in: 100 ... .max)]
        print("ledger model: seeds \(seeds)")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in seeds {
                group.addTask {
                    try await TestProvider.with { provider in
                        let tenant = try await provider.tenant(in: provider.repository(), limit: 200_000)
                        let part = try await tenant.subtenant("part", limit: 80_000)
                        let life = Life(provider, [tenant, part], seed: seed)
                        for _ in 0..<150 { try await life.step() }
                        try await life.finish()
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

private actor Life {
    private struct Lease {
        var id: ControlID
        var bytes: Int
        var used = 0
        var end: Duration
        var isExact: Bool
    }

    private struct Client {
        var place: Int
        var target: LedgerTarget
        var leases: [Lease] = []
        var untold: [ObjectRecord] = []
        /// Tickets whose object may be stored.
        var tickets: [ObjectRecord] = []
        var opened: Int
    }

    private let provider: TestProvider
    private let tenants: [TestTenant]
    private let seed: UInt64
    private var generator: SplitMix64
    private var clients: [Client] = []
    /// By folder; with the number of the step in which it was stored.
    private var storage: [ControlID: [String: (length: Int, step: Int)]] = [:]
    private var told: [ControlID: [String]] = [:]
    private var ended: [ControlID: Int] = [:]
    private var steps = 0
    private var isListing = false

    init(_ provider: TestProvider, _ tenants: [TestTenant], seed: UInt64) {
        self.provider = provider
        self.tenants = tenants
        self.seed = seed
        generator = SplitMix64(seed: seed)
    }

    private var database: ConfigurationDatabase { provider.database }
    private func random(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }

    private func stored(_ folder: ControlID) -> [ObjectRecord] {
        (storage[folder] ?? [:]).map { ObjectRecord(key: $0.key, length: $0.value.length) }.sorted { $0.key < $1.key }
    }

    private func store(_ object: ObjectRecord, _ folder: ControlID) {
        storage[folder, default: [:]][object.key] = (object.length, steps)
    }

    func step() async throws {
        steps += 1
        if clients.isEmpty { try await open() }
        let index = random(0...(clients.count - 1))
        switch random(0...19) {
        case 0, 1: if clients.count < 6 { try await open() }
        case 2...4: try await lease(index)
        case 5...8: storeOnLease(index)
        case 9...10: try await tell(index)
        case 11: try await settle(index)
        case 12: try await ticket(index)
        case 13: storeTicket(index)
        case 14: try await tellTicket(index)
        case 15: try await pass(.seconds(random(0...500)))
        case 16: try await delete()
        case 17: try await reconcile(random(0...1))
        case 18: try await end(index)
        default: try await reconcileSessions()
        }
        try await check("step \(steps)")
    }

    private func check(_ when: String) async throws {
        var sums = (0, 0)
        for tenant in tenants.reversed() {
            let record = try await tenant.record()
            let bytes = stored(tenant.folder).reduce(0) { $0 + $1.length }
            #expect(record.committed + record.reserved >= bytes, "seed \(seed), \(when)")
            let known = Set(told[tenant.folder] ?? [])
            let certain = stored(tenant.folder).filter { known.contains($0.key) }.reduce(0) { $0 + $1.length }
            #expect(record.committed >= certain, "seed \(seed), \(when): told objects")
            if tenant.subtenant == nil {
                #expect((record.belowCommitted, record.belowReserved) == sums, "seed \(seed), \(when)")
            } else {
                sums = (record.committed, record.reserved)
            }
        }
    }

    private func open() async throws {
        let place = random(0...1)
        clients.append(Client(place: place, target: try await tenants[place].session(), opened: steps))
    }

    private func lease(_ index: Int) async throws {
        let client = clients[index]
        let bytes = random(1...6000)
        let isExact = random(0...1) == 0
        let quota = try await database.quota(
            tenant: client.target.tenant,
            subtenant: client.target.subtenant,
            repository: client.target.repository
        )
        do {
            let (grant, after) = try await database.lease(
                client.target,
                bytes: bytes,
                rate: random(0...100),
                isExact: isExact
            )
            let lease = try #require(grant)
            #expect(bytes <= quota.free ?? .max)
            #expect(lease.bytes >= bytes)
            #expect(after.used + after.reserved <= after.limit ?? .max)
            let end = provider.monotonic.now.offset + lease.expiresIn
            clients[index].leases.append(Lease(id: lease.lease, bytes: lease.bytes, end: end, isExact: isExact))
        } catch let error as HawserError where error.code == .quotaExceeded {
            #expect(bytes > quota.free ?? .max)
        }
    }

    private func storeOnLease(_ index: Int) {
        let now = provider.monotonic.now.offset
        guard let at = clients[index].leases.lastIndex(where: { $0.used < $0.bytes && now < $0.end }) else { return }
        let room = clients[index].leases[at].bytes - clients[index].leases[at].used
        let new = object(random(1...room))
        clients[index].leases[at].used += new.length
        clients[index].untold.append(new)
        store(new, tenants[clients[index].place].folder)
    }

    private func tell(_ index: Int) async throws {
        let batch = Array(clients[index].untold.prefix(random(1...5)))
        clients[index].untold.removeFirst(batch.count)
        _ = try await database.commit(clients[index].target, batch)
        told[tenants[clients[index].place].folder, default: []] += batch.map(\.key)
        if random(0...3) == 0 { _ = try await database.commit(clients[index].target, batch) }
    }

    private func settle(_ index: Int) async throws {
        guard !clients[index].leases.isEmpty else { return }
        let lease = clients[index].leases.remove(at: random(0...(clients[index].leases.count - 1)))
        _ = try await database.settle(clients[index].target, [LeaseSettlement(lease: lease.id, used: lease.used)])
    }

    private func ticket(_ index: Int) async throws {
        let new = object(random(1...3000))
        if case .granted = try await database.reserve(clients[index].target, [new])[0] {
            clients[index].tickets.append(new)
        }
    }

    private func storeTicket(_ index: Int) {
        guard let ticket = clients[index].tickets.randomElement(using: &generator) else { return }
        store(ticket, tenants[clients[index].place].folder)
    }

    private func tellTicket(_ index: Int) async throws {
        let folder = tenants[clients[index].place].folder
        guard let at = clients[index].tickets.firstIndex(where: { storage[folder]?[$0.key] != nil }) else { return }
        let ticket = clients[index].tickets.remove(at: at)
        _ = try await database.commit(clients[index].target, [ticket])
        told[folder, default: []].append(ticket.key)
    }

    private func pass(_ duration: Duration) async throws {
        provider.advance(duration)
        // A ticket is good for less than the database waits.
        for index in clients.indices where duration > .seconds(300) { clients[index].tickets = [] }
        try await database.beat()
        for ticket in try await database.endedTickets() {
            let isThere = storage[ticket.folder]?[ticket.key] != nil
            try await database.settle(ticket, isStored: isThere)
        }
    }

    private func delete() async throws {
        let tenant = tenants[random(0...1)]
        guard let key = told[tenant.folder]?.randomElement(using: &generator),
            let object = storage[tenant.folder]?.removeValue(forKey: key)
        else { return }
        try await database.freed(object.length, in: tenant.folder)
    }

    private func reconcile(_ place: Int) async throws {
        guard !isListing else { return }
        isListing = true
        defer { isListing = false }
        let folder = tenants[place].folder
        _ = try await database.reconcile(
            folder,
            listing: Steps(stored(folder)) { [self] index in
                if index % 3 == 0 { try await meanwhile() }
            }
        )
    }

    /// What goes on while a storage is listed.
    private func meanwhile() async throws {
        guard !clients.isEmpty else { return }
        let index = random(0...(clients.count - 1))
        switch random(0...5) {
        case 0: try await lease(index)
        case 1, 2: storeOnLease(index)
        case 3: try await tell(index)
        case 4: try await tellTicket(index)
        default: try await settle(index)
        }
    }

    private func end(_ index: Int) async throws {
        // It dies with all it has not told.
        let client = clients.remove(at: index)
        ended[client.target.session] = client.opened
        try await database.endSession(client.target.session)
    }

    private func reconcileSessions() async throws {
        for work in try await database.unprovenWork() {
            let opened = ended[work.target.session] ?? 0
            let new = (storage[work.folder] ?? [:]).filter { $0.value.step >= opened }.map {
                ObjectRecord(key: $0.key, length: $0.value.length)
            }
            let told = try await database.told(new, in: work.folder)
            let unknown = new.filter { !told.contains($0.key) }.reduce(0) { $0 + $1.length }
            _ = try await database.reconcile(work, unknown: unknown)
        }
    }

    /// When all is quiet, the ledger is exact.
    func finish() async throws {
        while !clients.isEmpty { try await end(0) }
        try await pass(.seconds(3 * 3600))
        try await reconcileSessions()
        try await check("quiet")
        for place in [0, 1] { try await reconcile(place) }
        try await check("the end")
        for tenant in tenants {
            let record = try await tenant.record()
            let bytes = stored(tenant.folder).reduce(0) { $0 + $1.length }
            #expect((record.committed, record.reserved, record.unproven) == (bytes, 0, 0), "seed \(seed)")
        }
    }
}
