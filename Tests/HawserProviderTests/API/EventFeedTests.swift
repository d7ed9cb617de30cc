import HawserControl
import NIOEmbedded
import Testing

@testable import HawserProvider

@Suite struct EventFeedTests {
    private let start = ContinuousClock.now

    private func makeFeed() -> EventFeed {
        EventFeed(session: .random(), tenant: .random(), channel: EmbeddedChannel(), now: start)
    }

    @Test func changesAreOneLineHoweverManyTheyWere() {
        let feed = makeFeed()
        let repository = ControlID.random()
        for _ in 0..<100 {
            feed.stateChanged()
            feed.add(.returnUnused(repository: repository))
        }
        #expect(feed.take() == [.state, .event(.returnUnused(repository: repository))])
        #expect(feed.take() == [])
    }

    @Test func theEndComesFirstAndTheFirstEndCounts() {
        let feed = makeFeed()
        let problem = ControlProblem(.revoked, "")
        feed.end(.revoked(problem))
        feed.end(.reconnect(after: 1))
        feed.stateChanged()
        #expect(feed.take() == [.last(.revoked(problem))])
        feed.close()
        #expect(feed.take() == nil)
    }

    @Test func ordersAreBounded() {
        let feed = makeFeed()
        for _ in 0..<1000 { feed.add(.returnUnused(repository: .random())) }
        #expect(feed.take()?.count == 257)
    }

    @Test func aHeartbeatIsDueAfterSilenceOnly() {
        let feed = makeFeed()
        _ = feed.take()
        feed.beginWrite(now: start)
        feed.endWrite(now: start + .seconds(5))
        #expect(feed.tick(heartbeat: .seconds(20), stalled: .seconds(60), now: start + .seconds(24)))
        #expect(feed.take() == [])
        #expect(feed.tick(heartbeat: .seconds(20), stalled: .seconds(60), now: start + .seconds(25)))
        #expect(feed.take() == [.event(.heartbeat)])
    }

    @Test func aReaderThatTakesNothingIsDead() {
        let feed = makeFeed()
        feed.beginWrite(now: start)
        #expect(feed.tick(heartbeat: .seconds(20), stalled: .seconds(60), now: start + .seconds(59)))
        #expect(!feed.tick(heartbeat: .seconds(20), stalled: .seconds(60), now: start + .seconds(60)))
    }
}
