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
        let settings: StorageSettings
        let repository: ControlID

        var folder: FolderRecord {
            get async throws {
                try await provider.database.folder(tenant: provider.tenant, subtenant: nil, repository: repository)
            }
        }

        func ask(_ objects: [TestObject], _ session: SessionAnswer) async throws -> [Ticket] {
            let puts = objects.map {
                TicketRequest.Put(key: $0.key.path, length: $0.bytes.count, sha256: Data($0.sha256.bytes))
            }
            return try await client.post(
                ControlAPI.tickets(repository),
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
                try await RawRequests(http, settings).send("PUT", target, headers.map { ($0.key, $0.value) }, bytes)
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

    private func with(_ body: (Scene) async throws -> Void) async throws {
        try await withS3TestServer { storage in
            try await withProviderFolder { provider in
                let user = S3TestServer.Configuration.User.test
                provider.log.addSecret(user.secretAccessKey)
                var settings = StorageSettings(
                    kind: .compatible,
                    endpoint: storage.endpoint,
                    bucket: "hawser",
                    accessKeyID: user.accessKeyID
                )
                settings.checked = [AccessPermissions.tickets.rawValue: StorageSettings.held]
                let database = provider.database
                let secret = Secret(Array(user.secretAccessKey.utf8))
                let record = try await database.addStorage("live", settings, secret: secret)
                let repository = try await database.addRepository(
                    "live",
                    storage: record.id,
                    RepositorySettings(access: .tickets)
                ).id
                _ = try await database.setQuota(tenant: provider.tenant, repository: repository, limit: Self.limit)
                let checked = settings
                try await provider.withServer { client in
                    try await body(
                        Scene(
                            provider: provider,
                            client: client,
                            storage: storage,
                            settings: checked,
                            repository: repository
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
                ControlAPI.commits(scene.repository),
                commit,
                token: session.token
            )
            try #require(answer.status == 200, "\(String(describing: answer.code))")
            try await scene.expectHolds(stored: 300_000)
            let prune = try await scene.client.signIn(purpose: .prune)
            let deletion = try await scene.client.post(
                ControlAPI.deletions(scene.repository),
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
            var numbers = scene.provider.database.ledgerSettings
            (numbers.ticketLifetime, numbers.ticketGrace) = (1, 0)
            try await scene.provider.database.setLedgerSettings(numbers)
            let session = try await scene.client.signIn()
            let objects = (1...2).map { TestObject(length: 400_000, seed: $0) }
            let kept = try await scene.ask([objects[1]], session)[0]
            // Until the storage does not take it any more: by the server's clock and the ledger's it is over, too.
            try await Task.sleep(for: .seconds(2))
            #expect(try await scene.put(kept, objects[1].bytes) == 403)
            while try await scene.folder.reserved > 0 {
                await scene.settle()
                try await Task.sleep(for: .milliseconds(50))
            }
            try await scene.expectHolds(stored: 0)
            // A ticket that is used while it lives is settled by what the storage has, though nobody tells of it.
            repeat {
                let ticket = try await scene.ask([objects[0]], session)[0]
                // A busy machine may be late.
                if try await scene.put(ticket, objects[0].bytes) == 200 { break }
            } while true
            try await scene.expectHolds(stored: 400_000)
            while try await scene.folder.reserved > 0 {
                await scene.settle()
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(try await scene.folder.committed == 400_000)
        }
    }
}
