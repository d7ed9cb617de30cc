import GRDB
public import HawserFormat
import Synchronization

/// The key in use; `key rotate` changes it.
final class KeyHolder: Sendable {
    private let current: Mutex<ProviderKey>

    init(_ key: ProviderKey) {
        current = Mutex(key)
    }

    var key: ProviderKey {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}

/// Secrets by name, sealed under the provider key. Names: `storage/ID`, `credential/ID`; others are their owner's choice.
extension ConfigurationDatabase {
    /// `nil` when there is none. For handing on, not for keeping.
    public func secret(_ name: String) async throws -> Secret? {
        let holder = key
        return try await read { try $0.secret(name, holder.key) }
    }

    /// - Parameter secret: `nil` removes it.
    public func setSecret(_ name: String, _ secret: Secret?, actor: String = "server") async throws {
        let holder = key
        try await write(actor: actor) { transaction in
            try transaction.setSecret(name, secret, holder.key)
            try transaction.audit(secret == nil ? "secret.remove" : "secret.set", name)
        }
    }

    /// Seals everything under a new key, in one transaction. The old key opens nothing afterwards; backups of the
    /// database still want it.
    public func rotateKey(to new: ProviderKey, actor: String) async throws {
        let holder = key
        try await write(actor: actor, isLast: true) { transaction in
            let old = holder.key
            for row in try transaction.db.rows("SELECT name, sealed FROM secret") {
                let name: String = row["name"]
                try transaction.setSecret(name, try old.open(row["sealed"], row: name), new)
            }
            try transaction.audit("key.rotate", "provider key")
            // Nothing is sealed between the commit and this: both are on the writer's queue, and it is the group's last.
            transaction.afterCommit { holder.key = new }
        }
    }
}

extension Database {
    func secret(_ name: String, _ key: ProviderKey) throws -> Secret? {
        try row("SELECT sealed FROM secret WHERE name = ?", [name]).map { try key.open($0["sealed"], row: name) }
    }
}

extension Transaction {
    func setSecret(_ name: String, _ secret: Secret?, _ key: ProviderKey) throws {
        if let secret {
            try db.run(
                "INSERT INTO secret VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET sealed = ?2",
                [name, try key.seal(secret, row: name)]
            )
        } else {
            try db.run("DELETE FROM secret WHERE name = ?", [name])
        }
    }
}
