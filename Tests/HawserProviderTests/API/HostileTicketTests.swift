import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A tenant who speaks the protocol and HTTP by hand, with a storage that checks signatures for real. After each step the
/// storage has no byte more than the ledger, and the ledger none more than the quota.
@Suite("Hostile holders of tickets")
struct HostileTicketTests {
    private static let limit = 1_000_000

    private struct Scene {
        let provider: ServedProvider
        let client: TestClient
        let storage: S3TestServer
        let live: LiveRepository
        /// How far the clocks are ahead.
        let storageAhead: Shared<Duration>
        let serverAhead: Shared<Duration>

        var folder: FolderRecord { get async throws { try await provider.database.folder(live.folder) } }

        func ask(_ objects: [TestObject], _ session: SessionAnswer) async throws -> [Ticket] {
            let puts = objects.map {
                TicketRequest.Put(key: $0.key.path, length: $0.bytes.count, sha256: Data($0.sha256.bytes))
            }
            return try await client.post(
                ControlAPI.tickets(live.id),
                TicketRequest(puts: puts),
                token: session.token
            ).value(TicketAnswer.self).puts
        }

        func expectHolds(stored: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
            let folder = try await folder
            let bytes = storage.bytesStored
            #expect(bytes == stored, sourceLocation: sourceLocation)
            #expect(bytes <= folder.committed + folder.reserved, sourceLocation: sourceLocation)
            #expect(folder.committed + folder.reserved <= HostileTicketTests.limit, sourceLocation: sourceLocation)
        }

        /// Sends a ticket, or what somebody made of it.
        func put(
            _ ticket: Ticket,
            _ bytes: [UInt8],
            to url: (String) -> String = { $0 },
            headers change: (inout [String: String]) -> Void = { _ in }
        ) async throws -> Int {
            var headers = try #require(ticket.headers)
            change(&headers)
            let target = url(try #require(ticket.url))
            return try await HTTPClient.withHTTPClient { http in
                try await RawRequests(http, live.storage).send("PUT", target, headers.map { ($0.key, $0.value) }, bytes)
                    .status
            }
        }

        /// As the server does by itself each minute.
        func settle() async {
            await StorageWork(
                provider.database,
                StorageWorkSettings(),
                logger: provider.log.logger
            ).settleTickets()
        }
    }

    private static func wall(ahead: Duration = .zero) -> Timestamp {
        Timestamp(seconds: Int64(Date.now.timeIntervalSince1970) + Int64(ahead / .seconds(1)))
    }

    private func with(_ body: (Scene) async throws -> Void) async throws {
        let (storageAhead, serverAhead) = (Shared(Duration.zero), Shared(Duration.zero))
        var configuration = S3TestServer.Configuration()
        configuration.now = { Self.wall(ahead: storageAhead.withLock { $0 }) }
        let start = ContinuousClock.now
        let clock = ProviderClock(
            wall: { Self.wall() },
            monotonic: { ContinuousClock.now - start + serverAhead.withLock { $0 } }
        )
        try await withS3TestServer(configuration) { storage in
            try await withProviderFolder(clock: clock) { provider in
                let live = try await provider.addLive(storage, RepositorySettings(access: .tickets), limit: Self.limit)
                {
                    $0.checked = [AccessPermissions.tickets.rawValue: StorageSettings.held]
                }
                try await provider.withServer { client in
                    try await body(
                        Scene(
                            provider: provider,
                            client: client,
                            storage: storage,
                            live: live,
                            storageAhead: storageAhead,
                            serverAhead: serverAhead
                        )
                    )
                }
            }
        }
    }

    @Test("Store what the tickets are for, once, and nothing else, whatever they make of them")
    func variations() async throws {
        try await with { scene in
            let session = try await scene.client.signIn()
            let objects = (1...4).map { TestObject(length: 300_000, seed: $0) }
            let tickets = try await scene.ask(objects, session)
            // The fourth has no room.
            #expect(tickets.map(\.outcome) == [.granted, .granted, .granted, .refused])
            #expect(tickets[3].url == nil)
            let (object, ticket) = (objects[0], tickets[0])

            let longer = try await scene.put(ticket, object.bytes + [1])
            let shorter = try await scene.put(ticket, object.bytes.dropLast())
            let other = try await scene.put(ticket, object.bytes.reversed())
            let swapped = try await scene.put(ticket, objects[1].bytes)
            #expect([longer, shorter, other, swapped].allSatisfy { (400..<500).contains($0) })
            // Under the key of the object that was refused, and of a neighbour's folder.
            for key in [objects[3].key.path, "../neighbour/" + object.key.path] {
                let moved = try await scene.put(ticket, object.bytes) { $0.replacing(object.key.path, with: key) }
                #expect(moved == 403)
            }
            // With another life, or other conditions.
            for (part, with) in [("X-Amz-Expires=900", "X-Amz-Expires=604800"), ("X-Amz-Date=2", "X-Amz-Date=3")] {
                #expect(ticket.url?.contains(part) == true)
                let changed = try await scene.put(ticket, object.bytes) { $0.replacing(part, with: with) }
                #expect((400..<500).contains(changed))
            }
            for header in try #require(ticket.headers).keys where header != "content-length" {
                let dropped = try await scene.put(ticket, object.bytes, headers: { $0[header] = nil })
                #expect((400..<500).contains(dropped), "\(header)")
            }
            let bare = try await scene.put(
                ticket,
                object.bytes,
                headers: { $0["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD" }
            )
            #expect(bare == 403)
            try await scene.expectHolds(stored: 0)

            // At once from everywhere: one of them stores it.
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 { group.addTask { try await scene.put(ticket, object.bytes) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 200 } == 1, "\(statuses)")
            try await scene.expectHolds(stored: 300_000)
            #expect(try await scene.put(ticket, object.bytes) == 412)

            // Asked for again they are the same reservation; by another session others, for which there is no room.
            let again = try await scene.ask(objects, session)
            #expect(again.map(\.outcome) == [.granted, .granted, .granted, .refused])
            let second = try await scene.client.signIn()
            #expect(try await scene.ask(Array(objects[1...2]), second).map(\.outcome) == [.refused, .refused])
            // The session's end ends no ticket that is out, and frees no byte of one.
            _ = try await scene.client.send(.DELETE, ControlAPI.session(session.session), token: session.token)
            #expect(try await scene.ask([objects[3]], second).map(\.outcome) == [.refused])
            #expect(try await scene.put(tickets[1], objects[1].bytes) == 200)
            try await scene.expectHolds(stored: 600_000)
        }
    }

    @Test("Get nothing out of lies about what was stored")
    func lies() async throws {
        try await with { scene in
            let session = try await scene.client.signIn()
            let objects = (1...3).map { TestObject(length: 300_000, seed: $0) }
            let tickets = try await scene.ask(objects, session)
            #expect(try await scene.put(tickets[0], objects[0].bytes) == 200)
            // As if two had been stored, each of one byte, and then deleted.
            let told = objects[0...1].map { ObjectRecord(key: $0.key.path, length: 1) }
            let commit = CommitRequest(objects: told)
            let answer = try await scene.client.post(
                ControlAPI.commits(scene.live.id),
                commit,
                token: session.token
            )
            try #require(answer.status == 200, "\(String(describing: answer.code))")
            try await scene.expectHolds(stored: 300_000)
            let prune = try await scene.client.signIn(purpose: .prune)
            let deletion = try await scene.client.post(
                ControlAPI.deletions(scene.live.id),
                DeletionRequest(keys: objects.map(\.key.path)),
                token: prune.token
            )
            #expect(deletion.status == 200)
            // The bytes of what a ticket can put again stay set aside.
            #expect(try await scene.put(tickets[1], objects[1].bytes) == 200)
            #expect(try await scene.put(tickets[2], objects[2].bytes) == 200)
            try await scene.expectHolds(stored: scene.storage.bytesStored)
            let more = (4...6).map { TestObject(length: 300_000, seed: $0) }
            for ticket in try await scene.ask(more, session) where ticket.outcome == .granted {
                let object = try #require(more.first { $0.key.path == ticket.key })
                _ = try await scene.put(ticket, object.bytes)
            }
            try await scene.expectHolds(stored: scene.storage.bytesStored)
        }
    }

    @Test("Can use no ticket after its end, and the books then have what is stored, to the byte")
    func late() async throws {
        try await with { scene in
            let numbers = scene.provider.database.ledgerSettings
            let (life, grace) = (Duration.seconds(numbers.ticketLifetime), Duration.seconds(numbers.ticketGrace))
            let objects = (1...2).map { TestObject(length: 400_000, seed: $0) }
            let kept = try await scene.ask([objects[0]], try await scene.client.signIn())[0]
            scene.storageAhead.withLock { $0 = life + .seconds(1) }
            #expect(try await scene.put(kept, objects[0].bytes) == 403)
            // Not before the grace is over does anybody get the bytes that it was for.
            scene.serverAhead.withLock { $0 += life }
            await scene.settle()
            #expect(try await scene.folder.reserved == 400_000)
            scene.serverAhead.withLock { $0 += grace }
            await scene.settle()
            #expect(try await scene.folder.reserved == 0)
            try await scene.expectHolds(stored: 0)
            // A ticket that is used while it lives is settled by what the storage has, though nobody tells of it.
            scene.storageAhead.withLock { $0 = .zero }
            let used = try await scene.ask([objects[1]], try await scene.client.signIn())[0]
            #expect(try await scene.put(used, objects[1].bytes) == 200)
            try await scene.expectHolds(stored: 400_000)
            scene.serverAhead.withLock { $0 += life + grace }
            await scene.settle()
            #expect(try await scene.folder.reserved == 0)
            #expect(try await scene.folder.committed == 400_000)
        }
    }
}
