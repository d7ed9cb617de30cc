import Foundation
import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct AdminTests {
    @Test func aFirstDay() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder, actor: "root") { code, name, _ in
                "join:\(name):\(code)"
            }
            let settings = StorageSettings(
                kind: .compatible,
                endpoint: "https://s3.example",
                bucket: "backups",
                accessKeyID: "AK"
            )
            let storage = try await admin.perform(
                StorageAdd(name: "main", settings: settings, secret: Data("s3 secret".utf8), repository: .init())
            )
            #expect(storage.repository?.name == "main")
            #expect(try await provider.database.storageSecret(storage.storage.id)?.bytes == Array("s3 secret".utf8))
            _ = try await admin.perform(TenantAdd(name: "acme"))
            _ = try await admin.perform(SubtenantAdd(tenant: "acme", name: "branch"))
            _ = try await admin.perform(QuotaSet(tenant: "acme", repository: "main", limit: 1 << 40))
            _ = try await admin.perform(QuotaSet(tenant: "acme", subtenant: "branch", repository: "main", limit: 5))
            let code = try await admin.perform(TenantJoinCode(tenant: "acme", subtenant: "branch"))
            #expect(code.joinString == "join:acme:\(code.code)")
            let identity = try await provider.database.registerDevice(
                code: code.code,
                publicKey: randomBytes(32),
                name: "machine"
            )
            #expect(identity.subtenant?.name == "branch")
            _ = try await admin.perform(TenantAdd(name: "other"))
            let devices = try await admin.perform(DeviceList())
            #expect(devices.map(\.device.id) == [identity.device.id])
            #expect(devices.first?.tenant == "acme" && devices.first?.subtenant == "branch")
            #expect(try await admin.perform(DeviceList(tenant: "other")).isEmpty)
            let session = try await provider.database.openSession(
                device: identity.device.id,
                purpose: .backup,
                agent: "hawser 1"
            ).session
            let shown = try await admin.perform(TenantShow(tenant: "acme"))
            #expect(shown.quotas.map(\.subtenant) == [nil, "branch"])
            #expect(shown.sessions.map(\.session.id) == [session.id])
            #expect(shown.sessions.first?.device == "machine")
            _ = try await admin.perform(SessionEnd(session: session.id.text, reason: "moving"))
            #expect(provider.database.session(session.id)?.problem?.message == "moving")
            var update = TenantUpdate(tenant: "acme")
            update.leaseEnd = AdminChange(Moment(Timestamp(seconds: 2_000_000_000)))
            update.mostSessions = AdminChange(7)
            #expect(try await admin.perform(update).settings.mostSessions == 7)
            update = TenantUpdate(tenant: "acme")
            update.mostSessions = AdminChange(nil)
            update.isEnabled = false
            let changed = try await admin.perform(update)
            #expect(changed.settings.mostSessions == nil)
            #expect(changed.leaseEnd?.seconds == 2_000_000_000)
            #expect(!changed.isEnabled)
            let report = try await admin.perform(UsageReport())
            #expect(report.map(\.tenant) == ["acme"])
            #expect(report.first?.quota == 1 << 40)
            #expect(try await admin.perform(AuditVerify()).entries > 5)
            #expect(try await admin.perform(AuditList()).contains { $0.actor == "root" && $0.action == "quota.set" })
        }
    }

    @Test func gateways() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let added = try await admin.perform(GatewayAdd(name: "g1", kind: .relay, address: "relay.example:6180"))
            #expect(added.gateway.address == "relay.example:6180" && added.gateway.kind == .relay)
            for address in ["relay", ":6180", "relay:0", "relay:x", "relay:70000", "my_relay:1", "a b:1", "relay:+1"] {
                await expectError(.invalidArgument) {
                    try await admin.perform(GatewayAdd(name: "g2", kind: .relay, address: address))
                }
            }
            let unknown = TenantAdd(name: "typo", settings: TenantSettings(gateways: ["g7"]))
            await expectError(.notFound) { try await admin.perform(unknown) }
            _ = try await admin.perform(TenantAdd(name: "one", settings: TenantSettings(gateways: ["g1"])))
            let code = try await provider.database.addJoinCode(.gateway(added.gateway.id))
            _ = try await admin.perform(GatewayRemove(gateway: "g1"))
            // Its code went with it.
            await expectError(.notSignedIn) {
                try await provider.database.registerGateway(code: code, publicKey: [1])
            }
            #expect(try await admin.perform(GatewayList()).isEmpty)
        }
    }

    @Test func storagesInUseStay() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let repository = try await provider.repository()
            await expectError(.conflict) { try await admin.perform(StorageRemove(storage: "main")) }
            let typo = StorageSettings(kind: .compatible, endpoint: "https://s3", bucket: "b", accessKeyID: "AK")
            _ = try await admin.perform(StorageAdd(name: "typo", settings: typo, secret: nil, repository: .init()))
            _ = try await admin.perform(RepositoryRemove(repository: "typo"))
            _ = try await admin.perform(StorageRemove(storage: "typo"))
            _ = try await provider.tenant(in: repository, limit: nil)
            await expectError(.conflict) { try await admin.perform(RepositoryRemove(repository: "main")) }
            var settings = try await provider.database.storage(repository.storage).settings
            settings.bucket = "other"
            let moved = settings
            await expectError(.conflict) { try await admin.perform(StorageUpdate(storage: "main", settings: moved)) }
            settings.bucket = "main"
            settings.endpoint = "ftp://x"
            let wrong = settings
            await expectError(.invalidArgument) {
                try await admin.perform(StorageUpdate(storage: "main", settings: wrong))
            }
            // Nothing is left of half a request.
            let amazon = StorageSettings(kind: .amazon, endpoint: "https://s3", bucket: "b", accessKeyID: "AK")
            await expectError(.invalidArgument) {
                try await admin.perform(
                    StorageAdd(name: "new", settings: amazon, secret: nil, repository: .init(access: .sts))
                )
            }
            #expect(try await admin.perform(StorageList()).map(\.name) == ["main"])
        }
    }

    @Test func alarms() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let repository = try await provider.repository()
            let full = try await provider.tenant("full", in: repository, limit: 1000)
            let half = try await provider.tenant("half", in: repository, limit: 1000)
            func codes() async throws -> [String] {
                try await admin.perform(AlarmList()).map { "\($0.code) \($0.subject)" }
            }
            #expect(try await codes().isEmpty)
            let target = try await full.session()
            _ = try await provider.database.commit(target, [object(799)])
            #expect(try await codes().isEmpty)
            _ = try await provider.database.commit(target, [object(1)])
            #expect(try await codes() == ["quota full in main"])
            #expect(try await admin.perform(AlarmList()).first?.message.contains("80 %") == true)
            _ = try await provider.database.commit(target, [object(200)])
            #expect(try await admin.perform(AlarmList()).first?.message.contains("100 %") == true)
            _ = try await provider.database.reconcile(full.folder, listing: listing([object(2000)]))
            #expect(try await codes() == ["over_quota full in main"])
            try await provider.database.endSession(target.session)
            // Three days later only one of them has a backup.
            provider.advance(.seconds(3 * 86_400))
            // A session alone is no backup.
            try await provider.database.endSession(full.session().session)
            let backup = try await half.session()
            _ = try await provider.database.commit(backup, [], before: key())
            try await provider.database.endSession(backup.session)
            let end = provider.clock.wall + .seconds(10 * 86_400)
            _ = try await provider.database.updateTenant(half.tenant) { $0.leaseEnd = end }
            #expect(try await codes() == ["over_quota full in main", "no_backup full: machine", "lease_ends half"])
        }
    }

    @Test func eachMachineHasItsOwnLastBackup() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let database = provider.database
            let one = try await provider.tenant("one", in: provider.repository(), limit: nil)
            var second = one
            second.device = try await provider.device(tenant: one.tenant)
            let part = try await one.subtenant("part", limit: nil)
            func alarms() async throws -> [String] {
                try await admin.perform(AlarmList()).filter { $0.code == "no_backup" }.map(\.subject)
            }
            func backUp(_ tenant: TestTenant, _ purpose: Purpose = .backup, before kind: ObjectKind) async throws {
                let session = try await tenant.session(purpose)
                _ = try await database.commit(session, [], before: key(kind))
                try await database.endSession(session.session)
            }
            provider.advance(.seconds(3 * 86_400))
            #expect(try await alarms() == ["one", "one/part"])
            // Checkpoints, and snapshots that are made of old ones, are no backups.
            try await backUp(second, before: .checkpoint)
            try await backUp(second, .prune, before: .snapshot)
            #expect(try await database.lastBackups().isEmpty)
            #expect(try await alarms() == ["one/part"])
            try await backUp(part, before: .snapshot)
            let first = provider.clock.wall
            #expect(try await alarms().isEmpty)
            var report = try await admin.perform(UsageReport())
            #expect(report.map(\.lastBackup) == [first] && report.map(\.oldestBackup) == [nil])
            provider.advance(.seconds(2 * 86_400))
            try await backUp(one, before: .snapshot)
            provider.advance(.seconds(86_400))
            // One machine's backup says nothing of another.
            #expect(Set(try await alarms()) == ["one: machine", "one/part: machine"])
            #expect(try await database.devices().filter { $0.lastBackup == nil }.map(\.id) == [second.device])
            try await database.revokeDevice(second.device)
            #expect(try await alarms() == ["one/part: machine"])
            report = try await admin.perform(UsageReport())
            #expect(report.map(\.oldestBackup) == [first])
            try await database.setSubtenant(part.subtenant.unsafelyUnwrapped, isEnabled: false)
            #expect(try await alarms().isEmpty)
        }
    }

    /// A few bytes are always left, which no backup can use.
    @Test func aQuotaIsUsedUpWhenNothingFits() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
            func levels() async throws -> [Int?] { try await admin.perform(AlarmList()).map(\.level) }
            let (database, session) = (provider.database, try await tenant.session())
            _ = try await database.commit(session, [object(850)])
            // Ahead of need: less would fit.
            await expectError(.quotaExceeded) { try await database.lease(session, bytes: 100 << 20) }
            #expect(try await levels() == [80])
            await expectError(.quotaExceeded) { try await database.lease(session, bytes: 200) }
            #expect(try await levels() == [100])
            try await database.freed(100, in: tenant.folder)
            #expect(try await levels() == [])
            guard case .refused = try await database.reserve(session, [object(300)]).first else {
                Issue.record("there was no room")
                return
            }
            #expect(try await levels() == [100])
            _ = try await database.setQuota(tenant: tenant.tenant, repository: tenant.repository, limit: 2000)
            #expect(try await levels() == [])
        }
    }

    @Test func whatIsNotUnderstoodIsRefused() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            await expectError(.notFound) { try await admin.perform("tenant.explode", Data("{}".utf8)) }
            for body in ["", "[]", "{}", #"{"name": 5}"#, "\u{0}"] {
                await expectError(.invalidArgument) { try await admin.perform("tenant.add", Data(body.utf8)) }
            }
            await expectError(.notFound) { try await admin.perform(TenantShow(tenant: "nobody")) }
            await expectError(.invalidArgument) { try await admin.perform(DeviceRevoke(device: "xyz")) }
            await expectError(.invalidArgument) { try await admin.perform(DatabaseBackup(file: "relative")) }
            #expect(AdminService.operations.count > 30)
        }
    }

    @Test func whatAStorageIsReachedByIsChecked() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            let good = StorageSettings(
                kind: .compatible,
                endpoint: "https://s3.example",
                bucket: "b",
                accessKeyID: "AK"
            )
            let wrong: [(inout StorageSettings) -> Void] = [
                { $0.endpoint = "https://" },
                { $0.tenantEndpoint = "s3.example" },
                { $0.tenantAuthority = "no certificate" },
                { $0.sts = SecurityTokenSettings(roleARN: "garbage") },
                { $0.sts = SecurityTokenSettings(principal: "arn:user") },
                { $0.sts = SecurityTokenSettings(endpoint: "sts.example", roleARN: "arn:aws:iam::1:role/tenants") },
            ]
            for change in wrong {
                var settings = good
                change(&settings)
                let request = StorageAdd(name: "new", settings: settings, secret: nil, repository: nil)
                await expectError(.invalidArgument) { try await admin.perform(request) }
            }
            let azure = StorageSettings(kind: .azure, endpoint: "https://x", bucket: "b", accessKeyID: "AK")
            await expectError(.unsupported) {
                try await admin.perform(StorageAdd(name: "new", settings: azure, secret: nil, repository: nil))
            }
            #expect(try await admin.perform(StorageList()).isEmpty)
            _ = try await admin.perform(StorageAdd(name: "new", settings: good, secret: nil, repository: nil))
            var other = good
            other.accessKeyID = "AKOTHER"
            let request = StorageUpdate(storage: "new", settings: other)
            await expectError(.invalidArgument) { try await admin.perform(request) }
        }
    }

    @Test func daysAreOfThisWorld() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            for days in [-1, Int.max] {
                await expectError(.invalidArgument) { try await admin.perform(AlarmList(daysWithoutBackup: days)) }
                await expectError(.invalidArgument) { try await admin.perform(AlarmList(daysBeforeEnd: days)) }
            }
        }
    }

    @Test func settings() async throws {
        try await TestProvider.with { provider in
            let admin = AdminService(provider.database, folder: provider.folder)
            var settings = try await admin.perform(SettingsShow())
            #expect(settings == LedgerSettings())
            settings.leaseLifetime = 1800
            #expect(try await admin.perform(SettingsSet(settings)) == settings)
            for wrong in [\LedgerSettings.leaseLifetime, \.leaseSpan, \.ticketGrace, \.ticketLifetime, \.pruneDivisor] {
                for value in [0, Int.max] {
                    var refused = settings
                    refused[keyPath: wrong] = value
                    let request = SettingsSet(refused)
                    await expectError(.invalidArgument) { try await admin.perform(request) }
                }
            }
            // The next lease lives so long, also after a restart.
            for _ in 0..<2 {
                #expect(provider.database.ledgerSettings == settings)
                let repository = try await provider.repository(randomBytes(4).hex)
                let tenant = try await provider.tenant(randomBytes(4).hex, in: repository, limit: nil)
                let lease = try await provider.database.lease(tenant.session(), bytes: 10).grant
                #expect(lease?.expiresIn == .seconds(1800))
                try await provider.reopen()
            }
        }
    }

    @Test func joinCodesAreOnlyMadeWithAnAddressAndGoInTheEnd() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            try await database.makeCertificates(domain: "provider.test")
            let admin = AdminService(database, folder: provider.folder, joinString: try await database.joinStrings())
            _ = try await database.addTenant("acme")
            func codes() async throws -> Int {
                try await database.read { try $0.rows("SELECT * FROM joinCode").count }
            }
            await expectError(.notFound) { try await admin.perform(TenantJoinCode(tenant: "acme")) }
            #expect(try await codes() == 0)
            _ = try await database.addGateway("relay1", kind: .relay, address: "gateway.provider.test:6180")
            _ = try await admin.perform(TenantJoinCode(tenant: "acme"))
            try await database.beat()
            #expect(try await codes() == 1)
            provider.advance(ConfigurationDatabase.joinCodeLifetime)
            try await database.beat()
            #expect(try await codes() == 0)
        }
    }

    @Test func anAbsurdSettlementStaysSane() async throws {
        try await TestProvider.with { provider in
            let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
            let session = try await tenant.session()
            let lease = try #require(try await provider.database.lease(session, bytes: 10).grant).lease
            let settled = [LeaseSettlement(lease: lease, used: 1 << 50)]
            _ = try await provider.database.lease(session, bytes: 0, settled: settled)
            #expect(try await tenant.record().committed == 2 << 40)
        }
    }
}
