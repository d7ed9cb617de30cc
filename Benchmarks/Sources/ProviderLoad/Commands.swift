import NIOCore

// What `hawser-provider` sends, as far as it is needed here.

struct TenantAdd: Encodable {
    struct Settings: Encodable {
        var gateways: [String] = []
        var reachesSubtenants = true
        var note = ""
    }
    var name: String
    var settings = Settings()
}

struct TenantName: Codable {
    var tenant: String
}

struct JoinCode: Decodable {
    var code: String
}

struct QuotaSet: Encodable {
    var tenant: String
    var repository = "main"
    var limit: Int
}

struct Maintenance: Encodable {
    var message: String?
}

struct Nothing: Encodable {}

extension Provider {
    static func name(_ number: Int) -> String { "tenant-\(number)" }

    /// - Returns: a code with which a machine of the new tenant can register.
    func addTenant(_ number: Int, limit: Int) async throws -> String {
        let name = Self.name(number)
        _ = try await command("tenant.add", TenantAdd(name: name))
        try await setQuota(number, limit)
        return try await command("tenant.join-code", TenantName(tenant: name)).decoded(JoinCode.self).code
    }

    func setQuota(_ number: Int, _ limit: Int) async throws {
        _ = try await command("quota.set", QuotaSet(tenant: Self.name(number), limit: limit))
    }

    func setMaintenance(_ message: String?) async throws {
        _ = try await command("maintenance.set", Maintenance(message: message))
    }

    /// Sessions that live.
    func sessions() async throws -> Int {
        let shown = try await command("session.list", Nothing()).body.readableBytesView
        return shown.count(of: Array("\"agent\":\"ProviderLoad\"".utf8))
    }

    /// Bytes of all folders together, as `quota show` tells them.
    func ledger() async throws -> (committed: Int, reserved: Int) {
        struct Shown: Decodable {
            struct Folder: Decodable {
                var committed: Int
                var reserved: Int
            }
            var folder: Folder
        }
        let folders = try await command("quota.show", Nothing()).decoded([Shown].self).map(\.folder)
        return (folders.reduce(0) { $0 + $1.committed }, folders.reduce(0) { $0 + $1.reserved })
    }
}
