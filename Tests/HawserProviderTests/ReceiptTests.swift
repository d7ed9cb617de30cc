import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite("Receipts of snapshots")
struct ReceiptTests {
    private static let day = Duration.seconds(86_400)

    @Test("The first word counts, and one that takes another's place has that one's time")
    func commits() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let part = try await tenant.subtenant("part", limit: nil)
            let session = try await tenant.session()
            let (old, tagged, alone) = (key(), key(), key())
            let first = provider.clock.wall
            _ = try await tenant.database.commit(session, [], before: old)
            _ = try await tenant.database.commit(session, [], before: key(.checkpoint))
            provider.advance(.seconds(60))
            let later = provider.clock.wall
            _ = try await tenant.database.commit(session, [], before: old)
            _ = try await tenant.database.commit(session, [], before: tagged, replacing: old)
            // A word without a ground gains nothing.
            _ = try await tenant.database.commit(session, [], before: alone, replacing: key())
            #expect(
                try await tenant.receipts() == [
                    old: Receipt(first), tagged: Receipt(first, noted: later), alone: Receipt(later),
                ]
            )
            #expect(try await part.receipts().isEmpty)
        }
    }

    @Test("A listing adds those that nobody told of, and drops those of what is gone")
    func listings() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            let (told, gone, untold, ahead, fresh) = (key(), key(), key(), key(), key())
            let start = provider.clock.wall
            for each in [told, gone] { _ = try await tenant.database.commit(session, [], before: each) }
            provider.advance(Self.day + Self.day)
            let now = provider.clock.wall
            _ = try await tenant.database.commit(session, [], before: fresh)
            let listed = [
                (told, now), (untold, now), (untold, start + .seconds(7)), (ahead, now + Self.day),
            ].map { ListedObject(ObjectRecord(key: $0.path, length: 1), stored: $1) }
            let expected = [
                told: Receipt(start), untold: Receipt(start + .seconds(7)), ahead: Receipt(now), fresh: Receipt(now),
            ]
            for _ in 0..<2 {
                _ = try await tenant.database.reconcile(tenant.folder, listing: listing(listed))
                #expect(try await tenant.receipts() == expected)
            }
            // One that breaks off says nothing of what it has not reached.
            provider.advance(Self.day + Self.day)
            await expectError(.unavailable) {
                try await tenant.database.reconcile(tenant.folder, listing: BrokenListing())
            }
            #expect(try await tenant.receipts() == expected)
        }
    }

    @Test("A page ends where the next begins")
    func pages() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            let keys = (0..<7).map { _ in key() }
            for each in keys { _ = try await tenant.database.commit(session, [], before: each) }
            var (found, after): ([String], ObjectName?) = ([], nil)
            while true {
                let page = try await tenant.database.receipts(tenant.folder, after: after, limit: 3)
                found += page.map(\.snapshot)
                guard let last = page.last else { break }
                after = ObjectName(hex: last.snapshot)
            }
            #expect(found == keys.compactMap { $0.name?.hex }.sorted())
        }
    }
}

private struct Receipt: Equatable {
    var time: Double
    var noted: Double

    init(_ time: Moment, noted: Moment? = nil) {
        (self.time, self.noted) = (time.seconds, (noted ?? time).seconds)
    }
}

private struct BrokenListing: AsyncSequence, AsyncIteratorProtocol {
    func makeAsyncIterator() -> Self { self }

    func next() async throws -> ListedObject? { throw HawserError(.unavailable, "The storage is away.") }
}

extension TestTenant {
    fileprivate func receipts() async throws -> [ObjectKey: Receipt] {
        try await database.receipts(folder, after: nil, limit: 100).reduce(into: [:]) { receipts, found in
            let key = ObjectKey.named(.snapshot, try #require(ObjectName(hex: found.snapshot)))
            receipts[key] = Receipt(
                Moment(milliseconds: Int64((found.receivedAt * 1000).rounded())),
                noted: Moment(milliseconds: Int64((found.notedAt * 1000).rounded()))
            )
        }
    }
}
