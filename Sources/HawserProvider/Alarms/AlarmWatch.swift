import AsyncHTTPClient
import Crypto
import HawserControl
import HawserFormat
import Logging
import NIOCore
import NIOHTTP1

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Looks for alarms, writes new ones to the log, and tells the webhooks: at least once each, in the order of their coming
/// as far as nothing fails.
struct AlarmWatch: Sendable {
    private static let pause = Duration.seconds(60)
    private static let deliveryPause = Duration.seconds(5)
    // Own ones are renewed long before: what has so little left can't be.
    private static let certificateLead = Duration.seconds(14 * 86_400)
    // A rotation takes 30 days at least, and a tenant that signs in seldom needs longer to hear of it.
    private static let authorityLead = Duration.seconds(180 * 86_400)
    private static let leastRoom = 2 << 30
    private static let firstPause = Duration.seconds(30)
    private static let longestPause = Duration.seconds(3600)
    /// An event that nobody has taken for so long is dropped.
    static let longestWait = Duration.seconds(3 * 86_400)

    let database: ConfigurationDatabase
    let settings: AlarmSettings
    /// When the certificate that tenants see ends.
    let certificateEnd: @Sendable () -> Date
    /// When the authority that tenants trust ends.
    let authorityEnd: @Sendable () -> Date
    /// By how much this machine's clock is ahead of those of storages that don't accept it.
    let clocksAhead: @Sendable () -> [ControlID: Duration]
    let logger: Logger

    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await repeating(Self.pause) { try await look() } }
            group.addTask { await repeating(Self.deliveryPause) { try await deliver() } }
        }
    }

    private func repeating(_ pause: Duration, _ body: () async throws -> Void) async {
        while !Task.isCancelled {
            do {
                try await body()
            } catch {
                if !Task.isCancelled { logger.warning("Alarms can't be looked for", metadata: ["error": "\(error)"]) }
            }
            try? await Task.sleep(for: pause)
        }
    }

    func look() async throws {
        let alarms = try await database.alarms(settings) + machineAlarms()
        for alarm in try await database.noteAlarms(alarms) {
            logger.warning(
                "An alarm",
                metadata: ["code": "\(alarm.code)", "subject": "\(alarm.subject)", "text": "\(alarm.message)"]
            )
        }
    }

    /// What only the running server knows.
    func machineAlarms() async throws -> [ProviderAlarm] {
        var alarms: [ProviderAlarm] = []
        if let end = nearEnd(certificateEnd(), Self.certificateLead) {
            let text = "The certificate that tenants see ends at \(end)."
            alarms.append(ProviderAlarm(code: "certificate", subject: "server", message: text))
        }
        if let end = nearEnd(authorityEnd(), Self.authorityLead) {
            let text =
                "The authority that tenants trust ends at \(end). Begin to replace it now: each tenant has to sign in before."
            alarms.append(ProviderAlarm(code: "authority", subject: "server", message: text))
        }
        let clocks = clocksAhead()
        for storage in clocks.isEmpty ? [] : try await database.storages() {
            guard let ahead = clocks[storage.id] else { continue }
            let seconds = ahead.components.seconds
            let direction = seconds < 0 ? "behind" : "ahead of"
            let text = "The clock of this machine is \(abs(seconds)) s \(direction) that of the storage."
            alarms.append(ProviderAlarm(code: "clock", subject: storage.name, message: text))
        }
        if let alarm = try diskAlarm() { alarms.append(alarm) }
        return alarms
    }

    private func nearEnd(_ end: Date, _ lead: Duration) -> Moment? {
        let end = Moment(end)
        return end - database.clock.wall < lead ? end : nil
    }

    private func diskAlarm() throws -> ProviderAlarm? {
        let manager = FileManager.default
        let disk = try manager.attributesOfFileSystem(forPath: parentFolder(of: database.path))
        let file = try manager.attributesOfItem(atPath: database.path)
        guard let free = disk[.systemFreeSize] as? Int, let size = file[.size] as? Int else { return nil }
        return Self.diskAlarm(free: free, database: size)
    }

    /// While there is still room to note it and to tell webhooks: less than the database once more, for a backup of it, and
    /// some GiB.
    static func diskAlarm(free: Int, database size: Int) -> ProviderAlarm? {
        guard free < leastRoom + size else { return nil }
        let text =
            "\(ByteSize.text(free)) are free on the disk of the configuration database, which has \(ByteSize.text(size))."
        return ProviderAlarm(code: "disk", subject: "server", message: text)
    }

    func deliver() async throws {
        let events = try await database.dueEvents()
        guard !events.isEmpty else { return }
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout = .init(connect: .seconds(10), read: .seconds(20))
        try await HTTPClient.withHTTPClient(configuration: configuration) { client in
            try await withThrowingTaskGroup { group in
                // Who does not answer delays nobody else.
                for events in Dictionary(grouping: events, by: \.webhook.id).values {
                    group.addTask {
                        for event in events where try await !deliver(event, client) { return }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    /// - Returns: whether the next one may be tried.
    private func deliver(_ event: WebhookEvent, _ client: HTTPClient) async throws -> Bool {
        guard let failure = await send(event, client) else {
            try await database.noteEvent(event, failure: nil, again: nil)
            return true
        }
        let pause = min(Self.firstPause * (1 << min(event.attempts, 10)), Self.longestPause)
        let isTooOld = database.clock.steady - event.created >= Self.longestWait
        logger.warning(
            isTooOld ? "A webhook did not take an event for days; it is dropped" : "A webhook did not take an event",
            metadata: ["webhook": "\(event.webhook.id)", "event": "\(event.id)", "failure": "\(failure)"]
        )
        try await database.noteEvent(event, failure: failure, again: isTooOld ? nil : pause)
        return false
    }

    /// - Returns: why it failed.
    private func send(_ event: WebhookEvent, _ client: HTTPClient) async -> String? {
        var request = HTTPClientRequest(url: String(decoding: event.url.bytes, as: UTF8.self))
        request.method = .POST
        request.headers = [
            "content-type": "application/json", "user-agent": "hawser-provider",
            "hawser-signature": Self.signature(event.body, event.secret, at: database.clock.wall),
        ]
        request.body = .bytes(ByteBuffer(string: event.body))
        do {
            let response = try await client.execute(request, timeout: .seconds(30))
            // What it says is of no use here, and may have no end.
            return (200..<300).contains(response.status.code) ? nil : "HTTP \(response.status.code)"
        } catch {
            return "\(error)"
        }
    }

    /// `t=SECONDS,v1=HEX`: the HMAC-SHA-256 of `SECONDS.BODY`. Who checks it refuses times that are long ago.
    static func signature(_ body: String, _ secret: Secret, at time: Moment) -> String {
        let seconds = String(Int64(time.seconds))
        let key = SymmetricKey(data: secret.bytes)
        let code = HMAC<SHA256>.authenticationCode(for: Data("\(seconds).\(body)".utf8), using: key)
        return "t=\(seconds),v1=\(code.hex)"
    }
}
