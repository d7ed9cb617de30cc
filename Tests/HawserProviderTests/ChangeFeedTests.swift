import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct ChangeFeedTests {
    @Test func subscribersHearOfTheirOwn() async {
        let feed = ChangeFeed()
        let (one, two) = (ControlID.random(), ControlID.random())
        var all = feed.changes().makeAsyncIterator()
        var first = feed.changes(tenant: one).makeAsyncIterator()
        feed.publish([.tenant(two), .tenant(one), .tenant(one), .general])
        #expect(await all.next() == [.tenant(two), .tenant(one), .general])
        #expect(await first.next() == [.tenant(one), .general])
    }

    @Test func whoIsSlowHearsOfEverythingInOne() async {
        let feed = ChangeFeed()
        var slow = feed.changes().makeAsyncIterator()
        for _ in 0...ChangeFeed.bound { feed.publish([.tenant(.random())]) }
        #expect(await slow.next() == [.general])
        let last = ControlID.random()
        feed.publish([.tenant(last)])
        #expect(await slow.next() == [.tenant(last)])
    }

    /// A change that concerns a thousand tenants makes only these ask.
    @Test func aThousandTenantsAreToldOneByOne() async {
        let feed = ChangeFeed()
        var changes = feed.changes().makeAsyncIterator()
        let tenants = (0..<1000).map { _ in ControlID.random() }
        for tenant in tenants { feed.publish([.tenant(tenant)]) }
        #expect(await changes.next() == tenants.map { .tenant($0) })
    }

    @Test func whatWasUndoneIsNotSpread() async throws {
        try await TestProvider.with { provider in
            var changes = provider.database.changes().makeAsyncIterator()
            let tenant = try await provider.database.addTenant("one")
            await expectError(.invalidArgument) {
                _ = try await provider.database.updateTenant(tenant.id) { $0.settings.mostSessions = 0 }
            }
            try await provider.database.setMaintenance("m")
            #expect(await changes.next() == [.general])
        }
    }

    @Test func aCancelledSubscriberEnds() async {
        let feed = ChangeFeed()
        let stream = feed.changes()
        let task = Task {
            var count = 0
            for await changes in stream { count += changes.count }
            return count
        }
        task.cancel()
        #expect(await task.value == 0)
    }
}
