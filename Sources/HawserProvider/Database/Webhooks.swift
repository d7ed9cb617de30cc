import GRDB
public import HawserControl
public import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Who is told of alarms.
public struct WebhookRecord: Codable, Sendable, Hashable {
    public var id: ControlID
    /// Of its address, which as a whole may be a secret and is not shown.
    public var host: String
    public var created: Moment
    /// The last time that it took something.
    public var lastSuccess: Moment?
    /// Why the last attempt failed; `nil` when it did not.
    public var failure: String?
    /// What waits for it.
    public var waiting: Int

    init(_ row: Row) throws {
        id = try row.id("id")
        host = row["host"]
        created = Moment(milliseconds: row["created"])
        lastSuccess = (row["lastSuccess"] as Int64?).map { Moment(milliseconds: $0) }
        failure = row["failure"]
        waiting = row["waiting"]
    }
}

/// Something to be told, until it was or has become too old.
struct WebhookEvent: Sendable {
    var id: ControlID
    var webhook: WebhookRecord
    var url: Secret
    var secret: Secret
    var body: String
    var attempts: Int
    var created: Moment
}

extension ConfigurationDatabase {
    // Of one webhook: who is away for longer is told of the newest.
    private static let mostEvents = 1000

    private static func secretName(_ id: ControlID) -> String { "webhook/\(id)" }
    private static func addressName(_ id: ControlID) -> String { "webhook/\(id)/url" }

    private static let webhooks = """
        SELECT webhook.*, (SELECT count(*) FROM webhookEvent WHERE webhook = webhook.id) AS waiting FROM webhook
        """

    public func webhooks() async throws -> [WebhookRecord] {
        try await read { try $0.rows(Self.webhooks + " ORDER BY host, created").map(WebhookRecord.init) }
    }

    /// - Parameters:
    ///   - url: of `https`, or of `http` to this machine.
    ///   - secret: that the events are signed with.
    public func addWebhook(_ url: String, secret: Secret, actor: String = "server") async throws -> WebhookRecord {
        let host = try Self.host(url)
        let holder = key
        return try await write(actor: actor) { transaction in
            let db = transaction.db
            let address = Secret(Array(url.utf8))
            for row in try db.rows("SELECT id FROM webhook WHERE host = ?", [host]) {
                guard try db.secret(Self.addressName(row.id("id")), holder.key)?.bytes != address.bytes else {
                    throw HawserError(.conflict, "There is a webhook of this address already.", place: host)
                }
            }
            let id = ControlID.random()
            try db.insert("webhook", ["id": id.text, "host": host, "created": transaction.wall.milliseconds])
            try transaction.setSecret(Self.secretName(id), secret, holder.key)
            try transaction.setSecret(Self.addressName(id), address, holder.key)
            try transaction.audit("webhook.add", id.text, host)
            guard let row = try db.row(Self.webhooks + " WHERE id = ?", [id.text]) else {
                throw HawserError(.notFound, "The webhook is gone.", place: host)
            }
            return try WebhookRecord(row)
        }
    }

    public func removeWebhook(_ id: ControlID, actor: String = "server") async throws {
        let holder = key
        try await write(actor: actor) { transaction in
            let host: String = try transaction.db.one("webhook", id: id, what: "webhook").row["host"]
            try transaction.db.run("DELETE FROM webhookEvent WHERE webhook = ?", [id.text])
            try transaction.db.run("DELETE FROM webhook WHERE id = ?", [id.text])
            for name in [Self.secretName(id), Self.addressName(id)] {
                try transaction.setSecret(name, nil, holder.key)
            }
            try transaction.audit("webhook.remove", id.text, host)
        }
    }

    private static func host(_ url: String) throws -> String {
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty, url.utf8.count <= 2000,
            parts.user == nil, parts.fragment == nil,
            parts.scheme == "https"
                || parts.scheme == "http" && ["127.0.0.1", "localhost", "[::1]", "::1"].contains(host)
        else {
            throw HawserError(.invalidArgument, "A webhook's address begins with https:// and has no user in it.")
        }
        return host
    }

    /// Of an earlier version.
    static func sealWebhooks(_ key: ProviderKey, _ db: Database) throws {
        for row in try db.rows("SELECT id, unsealed FROM webhook WHERE unsealed IS NOT NULL") {
            let (id, url): (ControlID, String) = (try row.id("id"), row["unsealed"])
            let name = addressName(id)
            try db.run("INSERT INTO secret VALUES (?, ?)", [name, try key.seal(Secret(Array(url.utf8)), row: name)])
            try db.update("webhook", id: id, ["host": URLComponents(string: url)?.host ?? "", "unsealed": nil])
        }
    }

    // MARK: Events

    /// Compares what is wrong now with what was told, and has all webhooks told of the rest.
    ///
    /// - Returns: what is new.
    func noteAlarms(_ alarms: [ProviderAlarm]) async throws -> [ProviderAlarm] {
        let known = try await read { db in
            try db.rows("SELECT code, subject, level FROM alarm").map { row in
                ProviderAlarm(code: row["code"], subject: row["subject"], message: "", level: row["level"])
            }
        }
        func place(_ alarm: ProviderAlarm) -> [String] { [alarm.code, alarm.subject] }
        let levels = Dictionary(known.map { (place($0), $0.level ?? 0) }) { max($0, $1) }
        let current = Dictionary(alarms.map { (place($0), $0) }) { first, _ in first }
        var told: Set<[String]> = []
        let new = alarms.filter { alarm in
            told.insert(place(alarm)).inserted && levels[place(alarm)].map { $0 < alarm.level ?? 0 } ?? true
        }
        guard levels != current.mapValues({ $0.level ?? 0 }) else { return [] }
        try await write { transaction in
            let db = transaction.db
            try db.run("DELETE FROM alarm")
            for alarm in current.values {
                try db.insert("alarm", ["code": alarm.code, "subject": alarm.subject, "level": alarm.level ?? 0])
            }
            for alarm in new { try transaction.addEvents(alarm) }
        }
        return new
    }

    /// For trying a webhook.
    func addTestEvent(_ webhook: ControlID) async throws {
        let alarm = ProviderAlarm(code: "test", subject: "webhook", message: "Somebody has tried this webhook.")
        try await write { transaction in
            _ = try transaction.db.one("webhook", id: webhook, what: "webhook")
            try transaction.addEvents(alarm, only: webhook)
        }
    }

    func dueEvents(limit: Int = 100) async throws -> [WebhookEvent] {
        let (holder, now) = (key, clock.steady)
        return try await read { db in
            let webhooks = Dictionary(
                uniqueKeysWithValues: try db.rows(Self.webhooks).map(WebhookRecord.init).map { ($0.id, $0) }
            )
            return try db.rows(
                "SELECT * FROM webhookEvent WHERE due <= ? ORDER BY due, created LIMIT ?",
                [now.milliseconds, limit]
            ).compactMap { row in
                let id = try row.id("webhook")
                guard let webhook = webhooks[id], let url = try db.secret(Self.addressName(id), holder.key),
                    let secret = try db.secret(Self.secretName(id), holder.key)
                else { return nil }
                return WebhookEvent(
                    id: try row.id("id"),
                    webhook: webhook,
                    url: url,
                    secret: secret,
                    body: row["body"],
                    attempts: row["attempts"],
                    created: Moment(milliseconds: row["created"])
                )
            }
        }
    }

    /// - Parameter again: after what time, `nil`: never.
    func noteEvent(_ event: WebhookEvent, failure: String?, again: Duration?) async throws {
        try await write { transaction in
            let db = transaction.db
            if let failure, let again {
                let due = (transaction.now + again).milliseconds
                try db.update("webhookEvent", id: event.id, ["attempts": event.attempts + 1])
                // All that wait for it, so that they are not in others' way.
                try db.run("UPDATE webhookEvent SET due = max(due, ?) WHERE webhook = ?", [due, event.webhook.id.text])
                try db.update("webhook", id: event.webhook.id, ["failure": failure])
                return
            }
            try db.run("DELETE FROM webhookEvent WHERE id = ?", [event.id.text])
            if let failure {
                try db.update("webhook", id: event.webhook.id, ["failure": failure])
            } else {
                let now = transaction.wall.milliseconds
                try db.update("webhook", id: event.webhook.id, ["failure": nil, "lastSuccess": now])
            }
        }
    }

    /// What webhooks are sent.
    struct EventBody: Codable {
        var id: ControlID
        /// RFC 3339.
        var time: String
        var alarm: ProviderAlarm
    }

    fileprivate static func makeRoom(for webhook: ControlID, _ db: Database) throws {
        try db.run(
            """
            DELETE FROM webhookEvent WHERE id IN
                (SELECT id FROM webhookEvent WHERE webhook = ? ORDER BY created DESC LIMIT -1 OFFSET ?)
            """,
            [webhook.text, mostEvents - 1]
        )
    }
}

extension Transaction {
    fileprivate func addEvents(_ alarm: ProviderAlarm, only: ControlID? = nil) throws {
        for row in try db.rows("SELECT id FROM webhook") {
            let webhook = try row.id("id")
            guard only == nil || only == webhook else { continue }
            let id = ControlID.random()
            let body = ConfigurationDatabase.EventBody(id: id, time: wall.description, alarm: alarm)
            try ConfigurationDatabase.makeRoom(for: webhook, db)
            try db.insert(
                "webhookEvent",
                [
                    "id": id.text, "webhook": webhook.text, "body": try jsonText(body), "created": now.milliseconds,
                    "due": now.milliseconds,
                ]
            )
        }
    }
}
