import Foundation
import GRDB
import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct SecretTests {
    @Test func secretsAreSealedInTheFile() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let secret = Secret(Array("the secret access key".utf8))
            try await provider.database.setSecret("authority", secret)
            #expect(try await provider.database.secret("authority") == secret)
            #expect(
                try await provider.database.storageSecret(repository.storage)?.bytes == Array("secret of main".utf8)
            )
            for file in ["", "-wal"] {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: provider.folder.database + file))
                #expect(bytes.range(of: Data("secret access key".utf8)) == nil)
                #expect(bytes.range(of: Data("secret of main".utf8)) == nil)
            }
            try await provider.database.setSecret("authority", nil)
            #expect(try await provider.database.secret("authority") == nil)
        }
    }

    @Test func rowsCannotBeSwapped() async throws {
        try await TestProvider.with { provider in
            let database = provider.database
            try await database.setSecret("a", Secret([1]))
            try await database.setSecret("b", Secret([2]))
            try await database.pool.write { db in
                try db.execute(
                    sql: """
                        UPDATE secret SET name = 'c' WHERE name = 'a';
                        UPDATE secret SET name = 'a' WHERE name = 'b';
                        UPDATE secret SET name = 'b' WHERE name = 'c';
                        """
                )
            }
            let error = await expectError(.damaged) { try await database.secret("a") }
            #expect(error?.place == "a")
            await expectError(.damaged) { try await database.secret("b") }
        }
    }

    @Test func aChangedByteIsFound() async throws {
        try await TestProvider.with { provider in
            try await provider.database.setSecret("a", Secret([1, 2, 3]))
            for index in [0, 12, 15, 30] {
                let sealed = try await provider.database.read { db -> Data in
                    try Data.fetchOne(db, sql: "SELECT sealed FROM secret WHERE name = 'a'") ?? Data()
                }
                var changed = sealed
                guard index < changed.count else { continue }
                changed[index] ^= 1
                let bytes = changed
                try await provider.database.pool.write {
                    try $0.execute(sql: "UPDATE secret SET sealed = ? WHERE name = 'a'", arguments: [bytes])
                }
                await expectError(.damaged) { try await provider.database.secret("a") }
                try await provider.database.pool.write {
                    try $0.execute(sql: "UPDATE secret SET sealed = ? WHERE name = 'a'", arguments: [sealed])
                }
            }
            #expect(try await provider.database.secret("a") == Secret([1, 2, 3]))
        }
    }

    @Test func rotationSealsAllAnew() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let old = try await provider.folder.key()
            try await provider.folder.rotateKey(provider.database, actor: "test")
            #expect(try await provider.database.storageSecret(repository.storage)?.count == 14)
            try await provider.database.close()
            #expect(throws: HawserError.self) {
                try ConfigurationDatabase.open(provider.folder.database, key: old, clock: provider.clock)
            }
            try await provider.reopen()
            #expect(try await provider.database.storageSecret(repository.storage)?.count == 14)
        }
    }

    /// Killed after the database took the new key, before its file took the old one's place; and before that.
    @Test func anInterruptedRotationIsFinished() async throws {
        try await TestProvider.with { provider in
            _ = try await provider.repository()
            let newFile = provider.folder.keyFile + ".new"
            _ = try ProviderKey.make(file: newFile)
            try await provider.reopen()
            #expect(FileManager.default.fileExists(atPath: newFile))
            try await provider.database.rotateKey(to: .read(file: newFile), actor: "test")
            try await provider.reopen()
            #expect(!FileManager.default.fileExists(atPath: newFile))
            try await provider.reopen()
        }
    }

    @Test func theKeyCanComeFromACommand() async throws {
        try await TestProvider.with { provider in
            let command = "cat '\(provider.folder.keyFile)'"
            var folder = provider.folder
            folder.keySource = .command(command)
            try await provider.database.close()
            let database = try await folder.open(clock: provider.clock)
            await expectError(.invalidArgument) { try await folder.rotateKey(database, actor: "test") }
            try await database.close()
            folder.keySource = .command("exit 3")
            await expectError(.fileSystem) { try await folder.open(clock: provider.clock) }
            folder.keySource = .command("echo 1234")
            await expectError(.invalidArgument) { try await folder.open(clock: provider.clock) }
        }
    }

    @Test func credentialsAreReusedUntilTheyEnd() async throws {
        try await TestProvider.with { provider in
            let repository = try await provider.repository()
            let tenant = try await provider.tenant(in: repository, limit: 10)
            let database = provider.database
            #expect(try await database.credential(folder: tenant.folder, purpose: .backup) == nil)
            let first = try await database.setCredential(
                folder: tenant.folder,
                purpose: .backup,
                Secret([1]),
                lifetime: .seconds(3600)
            )
            let found = try await database.credential(folder: tenant.folder, purpose: .backup)
            #expect(found?.0 == first)
            #expect(found?.1 == Secret([1]))
            #expect(try await database.credential(folder: tenant.folder, purpose: .restore) == nil)
            provider.advance(.seconds(3600))
            #expect(try await database.credential(folder: tenant.folder, purpose: .backup) == nil)
            let second = try await database.setCredential(
                folder: tenant.folder,
                purpose: .backup,
                Secret([2]),
                lifetime: .seconds(3600)
            )
            #expect(second.generation == first.generation + 1)
            // What the old key has made does not outlive it.
            let storage = try await database.storage(try await database.repository(repository.id).storage)
            try await database.updateStorage(storage.id, storage.settings, secret: Secret([3]))
            #expect(try await database.credential(folder: tenant.folder, purpose: .backup) == nil)
            let left = try await database.read {
                try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM secret WHERE name LIKE 'cred%'")
            }
            #expect(left == 0)
        }
    }
}
