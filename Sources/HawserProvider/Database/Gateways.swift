import GRDB
public import HawserControl
import HawserFormat

extension GatewayRecord {
    init(_ row: Row) throws {
        id = try row.id("id")
        kind = try row.choice("kind")
        name = row["name"]
        address = row["address"]
        publicKey = row["publicKey"]
        created = Moment(milliseconds: row["created"])
        lastSeen = row.moment("lastSeen")
    }
}

extension ConfigurationDatabase {
    public func gateways() async throws -> [GatewayRecord] {
        try await read { try $0.rows("SELECT * FROM gateway ORDER BY kind, name").map(GatewayRecord.init) }
    }

    public func addGateway(
        _ name: String,
        kind: GatewayRecord.Kind,
        address: String,
        actor: String = "server"
    ) async throws -> GatewayRecord {
        try await write(actor: actor) { transaction in
            let id = ControlID.random()
            try checkName(name)
            if kind == .server { try Self.checkLabel(name) }
            guard GatewayAddress(address)?.description == address else {
                throw HawserError(.invalidArgument, "An address is `host:port`.", place: address)
            }
            try transaction.db.insert(
                "gateway",
                [
                    "id": id.text, "kind": kind.rawValue, "name": name, "address": address,
                    "created": transaction.wall.milliseconds,
                ]
            )
            try transaction.audit("gateway.add", name, "\(kind.rawValue) \(address)")
            transaction.publish(.general)
            return try transaction.db.one("gateway", id: id, what: "gateway").map(GatewayRecord.init)
        }
    }

    /// With the provider's domain it is the server's name, for which it gets a certificate.
    private static func checkLabel(_ name: String) throws {
        let isLabel = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-")
        }
        guard isLabel, name.utf8.count <= 63, name.utf8.last != UInt8(ascii: "-"), name != "control" else {
            throw HawserError(
                .invalidArgument,
                "A gateway server's name is a label of a host name: at most 63 of a to z, 0 to 9 and `-`, and not `control`.",
                place: name
            )
        }
    }

    /// It may not connect any more.
    public func removeGateway(_ id: ControlID, actor: String = "server") async throws {
        try await write(actor: actor) { transaction in
            let gateway = try transaction.db.one("gateway", id: id, what: "gateway").map(GatewayRecord.init)
            try transaction.db.run("DELETE FROM gateway WHERE id = ?", [id.text])
            try transaction.audit("gateway.remove", gateway.name)
            transaction.publish(.general)
        }
    }

    public func sawGateway(_ id: ControlID) async throws {
        _ = try await write { try $0.db.update("gateway", id: id, ["lastSeen": $0.wall.milliseconds]) }
    }
}
