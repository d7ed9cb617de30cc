import Crypto
import HawserControl
import HawserFormat
import HawserTesting
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("Webhooks")
struct WebhookTests {
    private let log = ServerLog()
    private let secretText = "a secret of the receiver"
    private var secret: Secret { Secret(Array(secretText.utf8)) }

    /// What takes events, and answers as the test says.
    private final class Receiver: ChannelInboundHandler, Sendable {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        struct Event: Sendable {
            var signature: String
            var body: String
        }

        struct State {
            var events: [Event] = []
            var signature = ""
            var body = ""
            var status = HTTPResponseStatus.ok
        }

        let state = Mutex(State())

        var events: [Event] { state.withLock { $0.events } }

        func answer(_ status: HTTPResponseStatus) { state.withLock { $0.status = status } }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                state.withLock {
                    ($0.signature, $0.body) = (head.headers.first(name: "hawser-signature") ?? "", "")
                }
            case .body(let bytes):
                state.withLock { $0.body += String(buffer: bytes) }
            case .end:
                let status = state.withLock { state in
                    state.events.append(Event(signature: state.signature, body: state.body))
                    return state.status
                }
                let head = HTTPResponseHead(version: .http1_1, status: status, headers: ["content-length": "0"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }

    private func withReceiver(_ body: (Receiver, _ url: String) async throws -> Void) async throws {
        let receiver = Receiver()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(receiver)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        try await body(receiver, "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/alarms")
        try await channel.close()
        log.addSecret(secretText)
        for event in receiver.events { log.addSecret(String(event.signature.suffix(64))) }
        log.expectNoSecret()
    }

    private func watch(
        _ provider: TestProvider,
        settings: AlarmSettings = AlarmSettings(),
        certificateEnd: Date = Date(timeIntervalSince1970: 1e11),
        authorityEnd: Date = Date(timeIntervalSince1970: 1e11),
        clocksAhead: [ControlID: Duration] = [:]
    ) -> AlarmWatch {
        AlarmWatch(
            database: provider.database,
            settings: settings,
            certificateEnd: { certificateEnd },
            authorityEnd: { authorityEnd },
            clocksAhead: { clocksAhead },
            logger: log.logger
        )
    }

    @Test("Say in time that the disk fills up")
    func disk() {
        #expect(AlarmWatch.diskAlarm(free: 3 << 30, database: 1 << 30) == nil)
        let alarm = AlarmWatch.diskAlarm(free: 3 << 30, database: (1 << 30) + 1)
        #expect(alarm?.code == "disk" && alarm?.message.hasPrefix("3.000 GiB are free") == true)
    }

    private func codes(_ receiver: Receiver) throws -> [String] {
        try receiver.events.map { event in
            let alarm = try JSONDecoder().decode(
                ConfigurationDatabase.EventBody.self,
                from: Data(event.body.utf8)
            ).alarm
            return alarm.code + (alarm.level.map { " \($0)" } ?? "")
        }
    }

    @Test("Are told of each step of a quota once, and again after there was room")
    func quotaSteps() async throws {
        try await TestProvider.with { provider in
            try await withReceiver { receiver, url in
                let database = provider.database
                _ = try await database.addWebhook(url, secret: secret)
                let tenant = try await provider.tenant(in: provider.repository(), limit: 1000)
                func pass() async throws -> [String] {
                    try await watch(provider).look()
                    try await watch(provider).deliver()
                    return try codes(receiver)
                }
                #expect(try await pass() == [])
                let session = try await tenant.session()
                _ = try await database.commit(session, [object(850)])
                #expect(try await pass() == ["quota 80"])
                #expect(try await pass() == ["quota 80"])
                _ = try await database.commit(session, [object(100)])
                #expect(try await pass() == ["quota 80", "quota 90"])
                // A new server knows what was told.
                try await provider.reopen()
                #expect(try await pass() == ["quota 80", "quota 90"])
                try await provider.database.freed(400, in: tenant.folder)
                #expect(try await pass() == ["quota 80", "quota 90"])
                let again = try await tenant.session()
                _ = try await provider.database.commit(again, [object(300)])
                #expect(try await pass() == ["quota 80", "quota 90", "quota 80"])
                let event = try #require(receiver.events.first)
                let time = try #require(event.signature.split(separator: ",").first?.dropFirst(2))
                let key = SymmetricKey(data: Data(secretText.utf8))
                let code = HMAC<SHA256>.authenticationCode(for: Data("\(time).\(event.body)".utf8), using: key)
                #expect(event.signature == "t=\(time),v1=\(code.hex)")
            }
        }
    }

    @Test("That do not take an event get it again, through a restart, until it is three days old")
    func failures() async throws {
        try await TestProvider.with { provider in
            try await withReceiver { receiver, url in
                let webhook = try await provider.database.addWebhook(url, secret: secret)
                receiver.answer(.internalServerError)
                try await provider.database.addTestEvent(webhook.id)
                try await watch(provider).deliver()
                try await watch(provider).deliver()
                #expect(receiver.events.count == 1)
                var record = try #require(try await provider.database.webhooks().first)
                #expect(record.failure == "HTTP 500" && record.waiting == 1)
                try await provider.reopen()
                provider.advance(.seconds(30))
                try await watch(provider).deliver()
                #expect(receiver.events.count == 2)
                receiver.answer(.noContent)
                provider.advance(.seconds(60))
                try await watch(provider).deliver()
                #expect(receiver.events.count == 3 && Set(receiver.events.map(\.body)).count == 1)
                record = try #require(try await provider.database.webhooks().first)
                #expect(record.failure == nil && record.waiting == 0 && record.lastSuccess != nil)
                receiver.answer(.badRequest)
                try await provider.database.addTestEvent(webhook.id)
                provider.advance(AlarmWatch.longestWait)
                try await watch(provider).deliver()
                record = try #require(try await provider.database.webhooks().first)
                #expect(record.waiting == 0)
            }
        }
    }

    @Test("That are dead hold up no others, however much waits for them")
    func dead() async throws {
        try await TestProvider.with { provider in
            try await withReceiver { receiver, url in
                let database = provider.database
                // Nobody listens there.
                let dead = try await database.addWebhook("http://127.0.0.1:1/", secret: secret)
                for _ in 0..<150 { try await database.addTestEvent(dead.id) }
                let live = try await database.addWebhook(url, secret: secret)
                try await database.addTestEvent(live.id)
                try await watch(provider).deliver()
                try await watch(provider).deliver()
                #expect(receiver.events.count == 1)
                let waiting = try await database.webhooks().map(\.waiting)
                #expect(waiting.sorted() == [0, 150])
            }
        }
    }

    @Test("Lie where nobody listens in, and their secrets are sealed")
    func addresses() async throws {
        try await TestProvider.with { provider in
            let service = AdminService(provider.database, folder: provider.folder)
            for url in [
                "http://alerts.example/", "ftp://127.0.0.1/", "https://user@alerts.example/", "https://", "nonsense",
                "",
                "https://alerts.example/#x", "https://alerts.example/" + String(repeating: "x", count: 2000),
            ] {
                await expectError(.invalidArgument) { try await WebhookAdd(url: url).run(service) }
            }
            await expectError(.invalidArgument) {
                try await WebhookAdd(url: "https://alerts.example/", secret: Data("short".utf8)).run(service)
            }
            let added = try await WebhookAdd(url: "https://alerts.example/").run(service)
            let secret = try #require(added.secret)
            await expectError(.conflict) { try await WebhookAdd(url: "https://alerts.example/").run(service) }
            let listed = try await service.perform("webhook.list", Data("{}".utf8))
            #expect(!String(decoding: listed, as: UTF8.self).contains(secret))
            // Another of the same host; where it is, only the sealed value says.
            let path = "/services/a-token-in-the-address"
            let other = try await WebhookAdd(url: "https://alerts.example" + path).run(service)
            #expect(other.webhook.host == "alerts.example")
            let audit = try await provider.database.auditEntries(limit: 100, action: "")
            #expect(!audit.contains { $0.detail.contains(path) })
            let kept = try await provider.database.read { try $0.rows("SELECT * FROM webhook").map { "\($0)" } }
            #expect(kept.count == 2 && !kept.contains { $0.contains(path) })
            try await provider.folder.rotateKey(provider.database, to: nil, actor: "test")
            try await provider.database.addTestEvent(other.webhook.id)
            #expect(
                try await provider.database.dueEvents().map(\.url.bytes) == [
                    Array(("https://alerts.example" + path).utf8)
                ]
            )
            _ = try await WebhookRemove(webhook: other.webhook.id.text).run(service)
            #expect(try await provider.database.secret("webhook/\(other.webhook.id)/url") == nil)
            _ = try await WebhookRemove(webhook: added.webhook.id.text).run(service)
            #expect(try await WebhookList().run(service).isEmpty)
            await expectError(.notFound) { try await WebhookRemove(webhook: added.webhook.id.text).run(service) }
            await expectError(.invalidArgument) { try await WebhookTest(webhook: "x").run(service) }
        }
    }

    @Test("Tell of tenants without a backup and of contracts that end after the days that the provider has set")
    func days() async throws {
        try await TestProvider.with { provider in
            try await withReceiver { receiver, url in
                let database = provider.database
                _ = try await database.addWebhook(url, secret: .random())
                let tenant = try await provider.tenant(in: provider.repository(), limit: nil)
                let end = provider.clock.wall + .seconds(11 * 86_400)
                _ = try await database.updateTenant(tenant.tenant) { $0.leaseEnd = end }
                var settings = AlarmSettings()
                (settings.daysWithoutBackup, settings.daysBeforeEnd) = (5, 7)
                let watch = watch(provider, settings: settings)
                provider.advance(.seconds(3 * 86_400))
                try await watch.look()
                try await watch.deliver()
                #expect(receiver.events.isEmpty)
                provider.advance(.seconds(2 * 86_400))
                try await watch.look()
                try await watch.deliver()
                #expect(try Set(codes(receiver)) == ["no_backup", "lease_ends"])
            }
        }
    }

    @Test("Tell half a year before it that the authority ends")
    func authority() async throws {
        try await TestProvider.with { provider in
            let now = provider.clock.wall.seconds
            func codes(_ days: Double) async throws -> [String] {
                let end = Date(timeIntervalSince1970: now + days * 86_400)
                return try await watch(provider, authorityEnd: end).machineAlarms().map(\.code)
            }
            let (early, late) = (try await codes(181), try await codes(179))
            #expect(early == [] && late == ["authority"])
        }
    }

    @Test("Tell of a storage whose clock is another")
    func storagesClock() async throws {
        try await TestProvider.with { provider in
            let storage = try await provider.repository().storage
            let gone = ControlID.random()
            let watch = watch(provider, clocksAhead: [storage: .seconds(-1000), gone: .seconds(2000)])
            let alarms = try await watch.machineAlarms()
            #expect(alarms.map(\.code) == ["clock"] && alarms.map(\.subject) == ["main"])
            #expect(alarms.first?.message.contains("1000 s behind") == true)
        }
    }

    @Test("Tell of a certificate that ends, and of a clock that has jumped")
    func machine() async throws {
        try await TestProvider.with { provider in
            try await withReceiver { receiver, url in
                _ = try await provider.database.addWebhook(url, secret: secret)
                let soon = Date(timeIntervalSince1970: provider.clock.wall.seconds + 86_400)
                let watch = watch(provider, certificateEnd: soon)
                try await watch.look()
                provider.jumpWall(seconds: 120)
                try await watch.look()
                try await watch.deliver()
                #expect(try Set(codes(receiver)) == ["certificate", "clock"])
            }
        }
    }
}
