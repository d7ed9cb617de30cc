import GRDB
public import HawserControl
public import HawserFormat
import HawserS3
import NIOSSL

extension StorageRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        name = row["name"]
        settings = try row.json("settings")
        created = Moment(milliseconds: row["created"])
        keyMustBeRotated = row["keyMustBeRotated"]
    }
}

extension RepositoryRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        name = row["name"]
        storage = try row.id("storage")
        settings = try row.json("settings")
        created = Moment(milliseconds: row["created"])
    }
}

extension ConfigurationDatabase {
    public func storages() async throws -> [StorageRecord] {
        try await read { try $0.rows("SELECT * FROM storage ORDER BY name").map(StorageRecord.init) }
    }

    public func storage(_ id: ControlID) async throws -> StorageRecord {
        try await read { try $0.one("storage", id: id, what: "storage").map(StorageRecord.init) }
    }

    /// The secret access key of a storage.
    public func storageSecret(_ id: ControlID) async throws -> Secret? {
        try await secret(Self.secretName(storage: id))
    }

    static func secretName(storage id: ControlID) -> String { "storage/\(id)" }

    public func addStorage(
        _ name: String,
        _ settings: StorageSettings,
        secret: Secret?,
        actor: String = "server"
    ) async throws -> StorageRecord {
        let holder = key
        return try await write(actor: actor) { transaction in
            let id = ControlID.random()
            try checkName(name)
            try Self.check(settings)
            try transaction.db.insert(
                "storage",
                [
                    "id": id.text, "name": name, "settings": try jsonText(settings),
                    "created": transaction.wall.milliseconds,
                ]
            )
            try transaction.setSecret(Self.secretName(storage: id), secret, holder.key)
            try transaction.audit("storage.add", name, "\(settings.kind.rawValue) \(settings.endpoint)")
            return try transaction.db.one("storage", id: id, what: "storage").map(StorageRecord.init)
        }
    }

    /// - Parameter secret: replaces the old one, and nobody knows the new one yet; `nil` keeps it.
    public func updateStorage(
        _ id: ControlID,
        _ settings: StorageSettings,
        secret: Secret? = nil,
        actor: String = "server"
    ) async throws {
        let holder = key
        try await write(actor: actor) { transaction in
            try Self.check(settings)
            var settings = settings
            let old = try transaction.db.one("storage", id: id, what: "storage").map(StorageRecord.init)
            let moves = (old.settings.bucket, old.settings.prefix) != (settings.bucket, settings.prefix)
            guard try !moves || !transaction.db.exists("SELECT 1 FROM repository WHERE storage = ?", [id.text]) else {
                throw HawserError(
                    .conflict,
                    "Repositories lie in this storage: its bucket and prefix can't change. Add another storage.",
                    place: old.name
                )
            }
            // What was found to hold need not hold elsewhere, or for another role.
            if !old.settings.isChecked(like: settings) { settings.checked = nil }
            try transaction.db.update("storage", id: id, ["settings": try jsonText(settings)])
            if let secret {
                try transaction.setSecret(Self.secretName(storage: id), secret, holder.key)
                try transaction.db.update("storage", id: id, ["keyMustBeRotated": false])
            }
            if secret != nil || !old.settings.makesCredentials(like: settings) {
                // What was made by the old key or role may be dead, or allow too much.
                try transaction.removeCredentials(storage: id, holder.key)
                // Vaults that have the old ones ask for new ones.
                try transaction.db.run(
                    """
                    UPDATE folder SET generation = generation + 1
                    WHERE repository IN (SELECT id FROM repository WHERE storage = ?)
                    """,
                    [id.text]
                )
            }
            try transaction.audit("storage.update", old.name, secret == nil ? "" : "with a new key")
            transaction.publish(.general)
        }
    }

    /// - Throws: `conflict` while repositories lie in it.
    public func removeStorage(_ id: ControlID, actor: String = "server") async throws {
        let holder = key
        try await write(actor: actor) { transaction in
            let old = try transaction.db.one("storage", id: id, what: "storage").map(StorageRecord.init)
            try transaction.db.run("DELETE FROM storage WHERE id = ?", [id.text])
            try transaction.setSecret(Self.secretName(storage: id), nil, holder.key)
            try transaction.audit("storage.remove", old.name)
        }
    }

    static func check(_ settings: StorageSettings) throws {
        guard settings.kind != .azure else {
            throw HawserError(.unsupported, "Storages of kind azure can't be used in this version.")
        }
        for endpoint in [settings.endpoint, settings.tenantEndpoint, settings.sts?.endpoint].compactMap(\.self) {
            _ = try S3Endpoint(parsing: endpoint)
        }
        if let authority = settings.tenantAuthority {
            guard let found = try? NIOSSLCertificate.fromPEMBytes(Array(authority.utf8)), !found.isEmpty else {
                throw HawserError(.invalidArgument, "The storage's authority is no certificate in PEM.")
            }
        }
        for name in [settings.sts?.roleARN, settings.sts?.principal].compactMap(\.self) {
            guard name.hasPrefix("arn:"), name.count(where: { $0 == ":" }) >= 4 else {
                throw HawserError(
                    .invalidArgument,
                    "Roles and users are named as arn:aws:iam::123456789012:role/NAME.",
                    place: name
                )
            }
        }
        let prefix = settings.prefix.split(separator: "/", omittingEmptySubsequences: false)
        guard settings.prefix.isEmpty || prefix.allSatisfy({ !["", ".", ".."].contains($0) }) else {
            throw HawserError(.invalidArgument, "A prefix has no `/` at its ends, and no empty part, `.` or `..`.")
        }
        guard !settings.bucket.isEmpty, !settings.bucket.contains("/") else {
            throw HawserError(.invalidArgument, "A bucket's name is not empty and has no `/`.")
        }
        guard settings.kind == .compatible || settings.sts?.principal == nil else {
            // Amazon's roles need minutes until they are everywhere, and hold as they are.
            throw HawserError(.invalidArgument, "Roles for each folder are made in storages of kind compatible only.")
        }
    }

    public func repositories() async throws -> [RepositoryRecord] {
        try await read { try $0.rows("SELECT * FROM repository ORDER BY name").map(RepositoryRecord.init) }
    }

    public func repository(_ id: ControlID) async throws -> RepositoryRecord {
        try await read { try $0.one("repository", id: id, what: "repository").map(RepositoryRecord.init) }
    }

    public func addRepository(
        _ name: String,
        storage: ControlID,
        _ settings: RepositorySettings,
        actor: String = "server"
    ) async throws -> RepositoryRecord {
        try await write(actor: actor) { transaction in
            let id = ControlID.random()
            try checkName(name)
            let place = try transaction.db.one("storage", id: storage, what: "storage").map(StorageRecord.init)
            try Self.check(settings, in: place)
            try transaction.db.insert(
                "repository",
                [
                    "id": id.text, "name": name, "storage": storage.text, "settings": try jsonText(settings),
                    "created": transaction.wall.milliseconds,
                ]
            )
            try transaction.audit("repository.add", name, "in \(place.name)")
            return try transaction.db.one("repository", id: id, what: "repository").map(RepositoryRecord.init)
        }
    }

    /// - Throws: `conflict` when a tenant has a folder in it.
    public func removeRepository(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            let old = try transaction.db.one("repository", id: id, what: "repository").map(RepositoryRecord.init)
            try transaction.db.run("DELETE FROM repository WHERE id = ?", [id.text])
            try transaction.audit("repository.remove", old.name)
            transaction.publish(.general)
        }
    }

    public func updateRepository(
        _ id: ControlID,
        _ settings: RepositorySettings,
        actor: String = "server"
    ) async throws {
        try await write(actor: actor) { transaction in
            let db = transaction.db
            let old = try db.one("repository", id: id, what: "repository").map(RepositoryRecord.init)
            let place = try db.one("storage", id: old.storage, what: "storage").map(StorageRecord.init)
            try Self.check(settings, in: place)
            try db.update("repository", id: id, ["settings": try jsonText(settings)])
            if settings.access != old.settings.access {
                // Sessions that run ask for another grant.
                try db.run("UPDATE folder SET generation = generation + 1 WHERE repository = ?", [id.text])
            }
            if old.settings.access == .shared, settings.access != .shared,
                try db.exists("SELECT 1 FROM folder WHERE repository = ?", [id.text])
            {
                // Tenants have had it.
                try db.update("storage", id: place.id, ["keyMustBeRotated": true])
                try transaction.audit("storage.keyMustBeRotated", place.id.text)
            }
            try transaction.audit("repository.update", old.name, try jsonText(settings))
            for row in try db.rows("SELECT DISTINCT tenant FROM folder WHERE repository = ?", [id.text]) {
                transaction.publish(.tenant(try row.id("tenant")))
            }
        }
    }

    private static func check(_ settings: RepositorySettings, in storage: StorageRecord) throws {
        guard storage.settings.kind == .compatible || settings.access == .provider || settings.access == .tickets else {
            throw HawserError(
                .invalidArgument,
                "Access permissions are for storages of kind `compatible`; \(storage.settings.kind.rawValue) goes "
                    + "direct by itself.",
                place: storage.name
            )
        }
        guard settings.insiderProtectionDays >= 0 else {
            throw HawserError(.invalidArgument, "Insider protection is 0 or more days.")
        }
    }
}

/// - Throws: `invalidArgument` for what would be no good in commands, tables or logs.
func checkName(_ name: String) throws {
    let isPlain = name.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "-_.@".utf8.contains(byte)
    }
    guard isPlain, (1...64).contains(name.utf8.count), name.utf8.first != UInt8(ascii: "-") else {
        throw HawserError(
            .invalidArgument,
            "A name has 1 to 64 letters, digits, `.`, `_`, `@` or `-`, and does not begin with `-`.",
            place: name
        )
    }
}

extension Database {
    func exists(_ sql: String, _ arguments: StatementArguments) throws -> Bool {
        try row(sql + " LIMIT 1", arguments) != nil
    }

    /// A row of which there must be one.
    func one(_ table: String, id: ControlID, what: String) throws -> Found {
        guard let row = try row("SELECT * FROM \(table) WHERE id = ?", [id.text]) else {
            throw HawserError(.notFound, "There is no such \(what).", place: id.text)
        }
        return Found(row: row)
    }
}

struct Found {
    let row: Row

    func map<Value>(_ make: (Row) throws -> Value) rethrows -> Value { try make(row) }
}
