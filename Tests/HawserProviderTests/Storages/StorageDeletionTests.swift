import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import Testing

@testable import HawserProvider

@Suite struct StorageDeletionTests {
    @Test func freedBytesComeBackExactly() async throws {
        try await StoredTenants.with { stored in
            let (tenant, neighbour) = (try await stored.tenant(), try await stored.tenant("neighbour"))
            let objects = [object(100), object(200), object(300)]
            try await stored.store(objects, tenant)
            try await stored.store(objects, neighbour)
            let session = try await tenant.session(.full)
            _ = try await tenant.database.commit(session, objects)
            let keys = [objects[0].key, objects[1].key, object(5).key]
            try await tenant.database.requestDeletion(session, keys: keys)
            await stored.work().runDueDeletions()
            #expect(try await tenant.record().committed == 300)
            #expect(try await stored.keys(tenant) == [objects[2].key])
            #expect(try await stored.keys(neighbour).count == 3)
            #expect(try await tenant.database.dueDeletions().isEmpty)
            await stored.work().runDueDeletions()
            #expect(try await tenant.record().committed == 300)
        }
    }

    /// Who has a ticket could put the object again after the deletion, and it would count for nobody.
    @Test(arguments: [false, true]) func whatTicketsCouldPutAgainStaysReserved(isPutAgain: Bool) async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant(limit: 1000)
            let database = tenant.database
            let (one, work) = (object(100), stored.work())
            let session = try await tenant.session(.full)
            guard case .granted = try await database.reserve(session, [one]).first else {
                Issue.record("no ticket")
                return
            }
            try await stored.store([one], tenant)
            // Not told of yet: its bytes are none that could come back.
            let early = try await database.requestDeletion(session, keys: [one.key])
            #expect(await work.deleteNow(early) == 0)
            _ = try await database.commit(session, [one])
            #expect(try await database.reserve(session, [one]) == [.stored])
            await work.runDueDeletions()
            #expect(try await stored.keys(tenant).isEmpty)
            var folder = try await tenant.record()
            #expect((folder.committed, folder.reserved) == (0, 100))
            if isPutAgain { try await stored.store([one], tenant) }
            let settings = database.ledgerSettings
            stored.provider.advance(.seconds(settings.ticketLifetime + settings.ticketGrace))
            await work.settleTickets()
            folder = try await tenant.record()
            #expect((folder.committed, folder.reserved) == (isPutAgain ? 100 : 0, 0))
            // What is not there costs again.
            guard !isPutAgain else { return }
            guard case .granted = try await database.reserve(session, [one]).first else {
                Issue.record("no ticket")
                return
            }
        }
    }

    @Test func aDeletionNamesObjects() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let session = try await tenant.session(.full)
            await expectError(.invalidArgument) { try await tenant.database.requestDeletion(session, keys: []) }
        }
    }

    @Test func soManyWaitAndNoMore() async throws {
        try await StoredTenants.with(RepositorySettings(insiderProtectionDays: 7)) { stored in
            let (tenant, other) = (try await stored.tenant(), try await stored.tenant("other"))
            let session = try await tenant.session(.prune)
            let (most, database) = (ConfigurationDatabase.mostDeletions, tenant.database)
            for _ in 0..<most { try await database.requestDeletion(session, keys: [object(1).key]) }
            await expectError(.tooManyRequests) { try await database.requestDeletion(session, keys: [object(1).key]) }
            try await database.requestDeletion(try await other.session(.prune), keys: [object(1).key])
        }
    }

    @Test func whatIsDoneIsForgottenSoon() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let done = try await tenant.database.requestDeletion(tenant.session(.prune), keys: [object(1).key])
            try await tenant.database.finishDeletion(done.id, freed: 0)
            try await tenant.database.beat()
            try await tenant.database.finishDeletion(done.id, freed: 0)
            stored.provider.advance(ConfigurationDatabase.deletionsAreKept)
            try await tenant.database.beat()
            await expectError(.notFound) { try await tenant.database.finishDeletion(done.id, freed: 0) }
        }
    }

    /// The server dies when all is deleted and nothing noted yet: the bytes come back once all the same.
    @Test(arguments: [false, true]) func aKilledDeletionResumes(isListedBetween: Bool) async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let (gone, kept) = (object(1000), object(50))
            try await stored.store([gone, kept], tenant)
            let session = try await tenant.session(.full)
            _ = try await tenant.database.commit(session, [gone, kept])
            let deletion = try await tenant.database.requestDeletion(session, keys: [gone.key])
            // Another request for the same object, which came meanwhile.
            try await tenant.database.requestDeletion(session, keys: [gone.key])
            let path = try await stored.path(tenant)
            // The first HEAD measures; the second would see that it is gone.
            stored.server.add(
                ServerFault(.resetBefore, on: [.head], keys: .exactly(path + gone.key), occurrence: .only(2))
            )
            await stored.work().runDueDeletions()
            try stored.server.verifyAllFired()
            #expect(try await stored.keys(tenant) == [kept.key])
            #expect(try await tenant.record().committed == 1050)
            try await stored.provider.reopen()
            if isListedBetween {
                #expect(try await stored.work().reconcileNow(tenant.folder).after == 50)
            }
            #expect(try await tenant.database.dueDeletions().first?.id == deletion.id)
            await stored.work().runDueDeletions()
            #expect(try await tenant.record().committed == 50)
            #expect(try await tenant.database.dueDeletions().isEmpty)
        }
    }

    @Test func insiderProtectionKeepsForItsDays() async throws {
        try await StoredTenants.with(RepositorySettings(insiderProtectionDays: 7)) { stored in
            let tenant = try await stored.tenant()
            let gone = object(100)
            try await stored.store([gone], tenant)
            let session = try await tenant.session(.prune)
            _ = try await tenant.database.commit(session, [gone])
            let deletion = try await tenant.database.requestDeletion(session, keys: [gone.key])
            #expect(await stored.work().deleteNow(deletion) == 0)
            await stored.work().runDueDeletions()
            #expect(try await stored.keys(tenant) == [gone.key])
            stored.provider.advance(.seconds(7 * 86_400))
            await stored.work().runDueDeletions()
            #expect(try await stored.keys(tenant).isEmpty)
            #expect(try await tenant.record().committed == 0)
        }
    }

    @Test func aSpreeWaitsForTheProvider() async throws {
        try await StoredTenants.with(RepositorySettings(insiderProtectionDays: 1)) { stored in
            let tenant = try await stored.tenant()
            let objects = (0..<6).map { _ in object(10) }
            try await stored.store(objects, tenant)
            let session = try await tenant.session(.prune)
            _ = try await tenant.database.commit(session, objects)
            let work = stored.work { $0.spreeObjects = 3 }
            _ = try await work.reconcileNow(tenant.folder)
            // Half of all is no spree, and one more is; a day later it is another day.
            try await tenant.database.requestDeletion(session, keys: objects[..<3].map(\.key))
            await work.runDueDeletions()
            #expect(try await tenant.database.heldDeletions().isEmpty)
            let second = try await tenant.database.requestDeletion(session, keys: [objects[3].key])
            await work.runDueDeletions()
            let held = try await tenant.database.heldDeletions()
            #expect(held.map(\.objects).sorted() == [1, 3])
            #expect(held.allSatisfy { $0.tenant == "tenant" && $0.repository == "main" })
            stored.provider.advance(.seconds(86_400))
            await work.runDueDeletions()
            #expect(try await stored.keys(tenant).count == 6)
            try await tenant.database.approveDeletion(second.id)
            await work.runDueDeletions()
            #expect(try await stored.keys(tenant).count == 5)
            #expect(try await tenant.database.heldDeletions().count == 1)
        }
    }

    /// Without insider protection all is gone at once, up to the request that makes it a spree.
    @Test func aSpreeIsStoppedWithoutInsiderProtectionToo() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let objects = (0..<8).map { _ in object(10) }
            try await stored.store(objects, tenant)
            let session = try await tenant.session(.prune)
            _ = try await tenant.database.commit(session, objects)
            let work = stored.work { $0.spreeObjects = 3 }
            _ = try await work.reconcileNow(tenant.folder)
            func delete(_ objects: some Collection<ObjectRecord>) async throws -> (deletion: DeletionRecord, gone: Int)
            {
                let deletion = try await tenant.database.requestDeletion(session, keys: objects.map(\.key))
                return (deletion, await work.deleteNow(deletion))
            }
            #expect(try await delete(objects[..<3]).gone == 3)
            #expect(try await delete(objects[3..<4]).gone == 1)
            let spree = try await delete(objects[4..<6])
            #expect(spree.gone == 0)
            #expect(try await tenant.database.heldDeletions().map(\.id) == [spree.deletion.id])
            let admin = AdminService(tenant.database, folder: stored.provider.folder)
            let alarms = try await admin.perform(AlarmList()).filter { $0.code == "deletion_held" }
            #expect(alarms.map(\.subject) == ["tenant in main"])
            #expect(alarms.first?.message.hasPrefix("2 objects") == true)
            #expect(try await admin.perform(DeletionList()).map(\.objects) == [2])
            // A listing has counted what is left: what was before it is over.
            await work.runDueDeletions()
            #expect(try await work.reconcileNow(tenant.folder).objects == 4)
            try await tenant.database.rejectDeletion(spree.deletion.id)
            #expect(try await delete(objects[4..<5]).gone == 1)
            #expect(try await stored.keys(tenant).count == 3)
            let second = try await delete(objects[5...])
            #expect(second.gone == 0)
            _ = try await admin.perform(DeletionApprove(deletions: [second.deletion.id.text]))
            await work.runDueDeletions()
            #expect(try await stored.keys(tenant).isEmpty)
        }
    }

    /// What was stored since the last listing counts among what there is.
    @Test func aNewFolderCanBePruned() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let work = stored.work { $0.spreeObjects = 3 }
            #expect(try await work.reconcileNow(tenant.folder).objects == 0)
            let objects = (0..<12).map { _ in object(10) }
            try await stored.store(objects, tenant)
            let session = try await tenant.session(.prune)
            _ = try await tenant.database.commit(session, objects)
            let deletion = try await tenant.database.requestDeletion(session, keys: objects[..<5].map(\.key))
            #expect(await work.deleteNow(deletion) == 5)
            #expect(try await tenant.database.heldDeletions().isEmpty)
        }
    }

    @Test func aSpreeIsAllowedWhereTheProviderSaysSo() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let objects = (0..<4).map { _ in object(10) }
            try await stored.store(objects, tenant)
            let session = try await tenant.session(.prune)
            let work = stored.work { ($0.spreeObjects, $0.spreePercent) = (0, 100) }
            let deletion = try await tenant.database.requestDeletion(session, keys: objects.map(\.key))
            #expect(await work.deleteNow(deletion) == 4)
        }
    }

    @Test func allVersionsGo() async throws {
        try await StoredTenants.with(hasVersions: true) { stored in
            let tenant = try await stored.tenant()
            let (gone, kept) = (object(100), object(10))
            try await stored.store([gone, gone, kept], tenant)
            let path = try await stored.path(tenant)
            try await stored.server.remove(path + gone.key, in: StoredTenants.bucket)
            try await stored.store([gone], tenant)
            #expect(stored.server.versions(of: path + gone.key, in: StoredTenants.bucket) == 4)
            let work = stored.work()
            // All versions are billed.
            #expect(try await work.reconcileNow(tenant.folder).after == 310)
            let session = try await tenant.session(.full)
            try await tenant.database.requestDeletion(session, keys: [gone.key])
            await work.runDueDeletions()
            #expect(stored.server.versions(of: path + gone.key, in: StoredTenants.bucket) == 0)
            #expect(try await tenant.record().committed == 10)
        }
    }

    @Test func aStorageThatIsDownDelaysOnlyItsOwn() async throws {
        try await StoredTenants.with { stored in
            try await StoredTenants.withServer(stored.provider) { other in
                let repository = try await StoredTenants.addRepository("other", stored.provider, other)
                let second = StoredTenants(
                    provider: stored.provider,
                    server: other,
                    repository: repository,
                    log: stored.log
                )
                let (one, two) = (try await stored.tenant("one"), try await second.tenant("two"))
                let gone = object(100)
                for (place, tenant) in [(stored, one), (second, two)] {
                    try await place.store([gone], tenant)
                    let session = try await tenant.session(.full)
                    _ = try await tenant.database.commit(session, [gone])
                    try await tenant.database.requestDeletion(session, keys: [gone.key])
                }
                stored.server.add(ServerFault(.answer(.error(503, "ServiceUnavailable", "down")), occurrence: .every))
                let work = stored.work()
                await work.runDueDeletions()
                #expect(try await one.record().committed == 100)
                #expect(try await two.record().committed == 0)
                stored.server.removeFaults()
                // It is left alone for a while.
                stored.server.resetCounts()
                await work.runDueDeletions()
                #expect(stored.server.requests.isEmpty)
                stored.provider.advance(.seconds(30))
                await work.runDueDeletions()
                #expect(try await one.record().committed == 0)
            }
        }
    }

    /// What can't be deleted holds up nothing else.
    @Test func whatIsLeftIsTriedAgain() async throws {
        try await StoredTenants.with { stored in
            let tenant = try await stored.tenant()
            let (gone, stays) = (object(100), object(50))
            try await stored.store([gone, stays], tenant)
            let session = try await tenant.session(.full)
            _ = try await tenant.database.commit(session, [gone, stays])
            try await tenant.database.requestDeletion(session, keys: [stays.key])
            try await tenant.database.requestDeletion(session, keys: [gone.key])
            stored.server.add(
                ServerFault(
                    .answer(.error(403, "AccessDenied", "locked")),
                    on: [.delete],
                    keys: .containing(stays.key),
                    occurrence: .every
                )
            )
            let work = stored.work()
            await work.runDueDeletions()
            try stored.server.verifyAllFired()
            #expect(try await tenant.record().committed == 50)
            stored.server.removeFaults()
            stored.provider.advance(.seconds(3600))
            await work.runDueDeletions()
            #expect(try await tenant.record().committed == 0)
            #expect(try await stored.keys(tenant).isEmpty)
        }
    }
}
