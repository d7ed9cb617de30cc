import Crypto
import GRDB
public import HawserControl
import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension DeviceRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        tenant = try row.id("tenant")
        subtenant = try row.optionalID("subtenant")
        name = row["name"]
        publicKey = row["publicKey"]
        created = Moment(milliseconds: row["created"])
        lastSeen = row.moment("lastSeen")
        revoked = row.moment("revoked")
        lastBackup = row.moment("lastBackup")
    }
}

func sha256(_ bytes: some Sequence<UInt8>) -> Data {
    Data(SHA256.hash(data: Data(bytes)))
}

func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

extension ConfigurationDatabase {
    /// How long a join code is good.
    public static let joinCodeLifetime = Duration.seconds(72 * 3600)

    /// A code that lets one device or gateway in, once, within 72 hours. Only its hash is kept.
    ///
    /// - Returns: 26 characters, 128 random bits.
    public func addJoinCode(_ subject: JoinSubject, actor: String = "server") async throws -> String {
        let code = Base32.text(randomBytes(16))
        try await write(actor: actor) { transaction in
            let (tenant, subtenant, gateway) = try Self.check(subject, transaction.db)
            try transaction.db.insert(
                "joinCode",
                [
                    "hash": sha256(code.utf8), "tenant": tenant?.text, "subtenant": subtenant?.text,
                    "gateway": gateway?.text,
                    "expires": (transaction.now + Self.joinCodeLifetime).milliseconds,
                ]
            )
            try transaction.audit("joinCode.add", (subtenant ?? tenant ?? gateway)?.text ?? "")
        }
        return code
    }

    private static func check(
        _ subject: JoinSubject,
        _ db: Database
    ) throws -> (tenant: ControlID?, subtenant: ControlID?, gateway: ControlID?) {
        switch subject {
        case .device(let tenant, let subtenant):
            _ = try db.one("tenant", id: tenant, what: "tenant")
            if let subtenant {
                let record = try db.one("subtenant", id: subtenant, what: "subtenant").map(SubtenantRecord.init)
                guard record.tenant == tenant else {
                    throw HawserError(.notFound, "There is no such subtenant.", place: subtenant.text)
                }
            }
            return (tenant, subtenant, nil)
        case .gateway(let gateway):
            _ = try db.one("gateway", id: gateway, what: "gateway")
            return (nil, nil, gateway)
        }
    }

    /// Trades a code for a device's registration. The code is used up, in the same transaction.
    ///
    /// - Throws: `notSignedIn` for a code that is unknown, used or expired, or is no device's, without telling which.
    public func registerDevice(code: String, publicKey: [UInt8], name: String) async throws -> Identity {
        try await write(actor: "device") { transaction in
            let db = transaction.db
            let row = try transaction.useJoinCode(code)
            guard let tenant = try row.optionalID("tenant"), publicKey.count == 32,
                (1...255).contains(name.utf8.count)
            else { throw Self.badCode }
            let id = ControlID.random()
            try db.insert(
                "device",
                [
                    "id": id.text, "tenant": tenant.text, "subtenant": row["subtenant"] as String?, "name": name,
                    "publicKey": Data(publicKey), "created": transaction.wall.milliseconds,
                ]
            )
            try transaction.audit("device.register", id.text, name)
            transaction.publish(.tenant(tenant))
            return try transaction.db.identity(id)
        }
    }

    /// - Throws: as `registerDevice`.
    public func registerGateway(code: String, publicKey: [UInt8]) async throws -> GatewayRecord {
        try await write(actor: "gateway") { transaction in
            let row = try transaction.useJoinCode(code)
            guard let id = try row.optionalID("gateway"), !publicKey.isEmpty else { throw Self.badCode }
            try transaction.db.update("gateway", id: id, ["publicKey": Data(publicKey)])
            try transaction.audit("gateway.register", id.text)
            transaction.publish(.general)
            return try transaction.db.one("gateway", id: id, what: "gateway").map(GatewayRecord.init)
        }
    }

    static var badCode: HawserError {
        HawserError(.notSignedIn, "The code is not known, was used, or has expired. Ask the provider for a new one.")
    }

    /// The key by which this device signs in; `nil` when it is unknown or was revoked, after the same work.
    func signInKey(of device: ControlID) async throws -> [UInt8]? {
        try await read { db in
            try db.row("SELECT publicKey FROM device WHERE id = ? AND revoked IS NULL", [device.text])?
                .bytes("publicKey")
        }
    }

    /// What a sign-in of this device would be, allowed or not.
    ///
    /// - Throws: `notFound`.
    public func identity(device: ControlID) async throws -> Identity {
        try await read { try $0.identity(device) }
    }

    public func devices(of tenant: ControlID? = nil) async throws -> [DeviceRecord] {
        try await read { db in
            try db.rows(
                "SELECT * FROM device WHERE ?1 IS NULL OR tenant = ?1 ORDER BY tenant, name, created",
                [tenant?.text]
            ).map(DeviceRecord.init)
        }
    }

    /// Ends its sessions too.
    public func revokeDevice(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { [sessions] transaction in
            let device = try transaction.db.one("device", id: id, what: "device").map(DeviceRecord.init)
            guard device.revoked == nil else { return }
            try transaction.db.update("device", id: id, ["revoked": transaction.wall.milliseconds])
            try transaction.audit("device.revoke", id.text, device.name)
            let problem = ControlProblem(.revoked, "The provider has revoked this device.")
            let rows = try transaction.db.rows("SELECT * FROM session WHERE device = ? AND ended IS NULL", [id.text])
            for session in try rows.map(SessionRecord.init) { try transaction.end(session, problem, sessions) }
            try transaction.revokeCredentials(tenant: device.tenant, subtenant: device.subtenant)
        }
    }
}

extension Database {
    func identity(_ device: ControlID) throws -> Identity {
        let device = try one("device", id: device, what: "device").map(DeviceRecord.init)
        return Identity(
            device: device,
            tenant: try one("tenant", id: device.tenant, what: "tenant").map(TenantRecord.init),
            subtenant: try device.subtenant.map {
                try one("subtenant", id: $0, what: "subtenant").map(SubtenantRecord.init)
            }
        )
    }
}

extension Transaction {
    fileprivate func useJoinCode(_ code: String) throws -> Row {
        let hash = sha256(Base32.normalized(code).utf8)
        guard let row = try db.row("SELECT * FROM joinCode WHERE hash = ?", [hash]),
            (row["used"] as Int64?) == nil, now < Moment(milliseconds: row["expires"])
        else { throw ConfigurationDatabase.badCode }
        try db.run("UPDATE joinCode SET used = ? WHERE hash = ?", [now.milliseconds, hash])
        return row
    }
}

/// Crockford's alphabet: letters that people take for others stand for them.
enum Base32 {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    static func text(_ bytes: [UInt8]) -> String {
        var text = ""
        var (bits, count) = (0, 0)
        for byte in bytes {
            (bits, count) = (bits << 8 | Int(byte), count + 8)
            while count >= 5 {
                count -= 5
                text.append(alphabet[bits >> count & 31])
            }
            bits &= 1 << count - 1
        }
        if count > 0 { text.append(alphabet[bits << (5 - count) & 31]) }
        return text
    }

    static func normalized(_ code: String) -> String {
        String(
            code.uppercased().compactMap { character in
                switch character {
                case "-", " ": nil
                case "O": "0"
                case "I", "L": "1"
                default: character
                }
            }
        )
    }
}
