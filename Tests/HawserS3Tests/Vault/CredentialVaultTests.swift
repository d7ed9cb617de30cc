import Crypto
import Foundation
import HawserFormat
import HawserStorage
import HawserTestServer
import HawserTesting
import Logging
import Synchronization
import Testing

@testable import HawserS3

/// Gives a vault credentials as a provider does.
final class TestIssuer: Sendable {
    private let issued = Mutex(0)
    private let make: @Sendable (Int) throws -> S3Credentials
    private let lifetime: Duration?

    /// - Parameter make: gets the number of the request, from 1.
    init(lifetime: Duration?, _ make: @escaping @Sendable (Int) throws -> S3Credentials) {
        self.lifetime = lifetime
        self.make = make
    }

    var count: Int { issued.withLock { $0 } }

    func deliver(_ vaultKey: Data) throws -> CredentialVault.Delivery {
        let number = issued.withLock { issued in
            issued += 1
            return issued
        }
        let credentials = try make(number)
        let info = Data("a session".utf8)
        return .init(
            credentials: try SealedS3Credentials(sealing: credentials, to: vaultKey, info: info),
            info: info,
            expiresIn: lifetime
        )
    }

    func vault(_ clock: any Clock<Duration> = ContinuousClock()) throws -> CredentialVault {
        try CredentialVault(clock: clock, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })) {
            try self.deliver($0)
        }
    }
}

@Suite("The credential vault")
struct CredentialVaultTests {
    private let clock = ManualClock()

    private func issuer(_ lifetime: Duration?) -> TestIssuer {
        TestIssuer(lifetime: lifetime) { number in
            S3Credentials(
                accessKeyID: "key-\(number)",
                secretAccessKey: Secret(Array("secret-\(number)".utf8)),
                sessionToken: Secret(Array("token-\(number)".utf8))
            )
        }
    }

    private func open(_ vault: CredentialVault) async throws -> String {
        try await vault.withCredentials { credentials in
            let parts = [credentials.secretAccessKey.bytes, credentials.sessionToken?.bytes ?? []]
            return ([credentials.accessKeyID] + parts.map { String(decoding: $0, as: UTF8.self) }).joined(
                separator: " "
            )
        }
    }

    @Test("opens what was sealed to it, as often as it is asked, and asks once")
    func roundTrip() async throws {
        let issuer = issuer(nil)
        let vault = try issuer.vault(clock)
        for _ in 0..<3 { #expect(try await open(vault) == "key-1 secret-1 token-1") }
        clock.advance(by: .seconds(1_000_000_000))
        #expect(try await open(vault) == "key-1 secret-1 token-1")
        #expect(issuer.count == 1)
    }

    @Test("takes credentials without a token and with long fields, and refuses secrets that are too long")
    func fields() async throws {
        for (length, isGood) in [(0, true), (40, true), (512, true), (513, false)] {
            let issuer = TestIssuer(lifetime: nil) { _ in
                S3Credentials(
                    accessKeyID: String(repeating: "k", count: 2000),
                    secretAccessKey: Secret([UInt8](repeating: 7, count: length))
                )
            }
            let vault = try issuer.vault()
            let isOpened = try? await vault.withCredentials { credentials in
                credentials.secretAccessKey.bytes == [UInt8](repeating: 7, count: length)
                    && credentials.sessionToken == nil && credentials.accessKeyID.utf8.count == 2000
            }
            #expect((isOpened ?? false) == isGood, "\(length)")
        }
    }

    @Test("refuses what is for another vault or session, and what was changed")
    func damage() throws {
        let key = Curve25519.KeyAgreement.PrivateKey()
        let info = Data("session".utf8)
        let sealed = try SealedS3Credentials(sealing: .test(), to: key.publicKey.rawRepresentation, info: info)
        func isDamaged(_ sealed: SealedS3Credentials, _ key: Curve25519.KeyAgreement.PrivateKey, _ info: Data) -> Bool {
            do {
                try sealed.open(with: key, info: info) { _, _, _ in }
                return false
            } catch {
                return (error as? HawserError)?.code == .damaged
            }
        }
        #expect(!isDamaged(sealed, key, info))
        #expect(isDamaged(sealed, Curve25519.KeyAgreement.PrivateKey(), info))
        #expect(isDamaged(sealed, key, Data("another".utf8)))
        for index in sealed.ciphertext.indices {
            var changed = sealed
            changed.ciphertext[index] ^= 1
            #expect(isDamaged(changed, key, info))
            changed.ciphertext = sealed.ciphertext.prefix(index)
            #expect(isDamaged(changed, key, info))
        }
        for key in [Data(), Data(repeating: 1, count: 31), Data(repeating: 1, count: 33)] {
            #expect(throws: HawserError.self) { try SealedS3Credentials(sealing: .test(), to: key, info: info) }
        }
    }

    @Test("renews a day before the end of long lives, and when a third of short ones is left")
    func clockwork() async throws {
        for (lifetime, renewal) in [(14 * 86_400, 13 * 86_400), (900, 600), (86_400, 57_600)] {
            let clock = ManualClock()
            let issuer = issuer(.seconds(lifetime))
            let vault = try issuer.vault(clock)
            #expect(try await open(vault) == "key-1 secret-1 token-1")
            clock.advance(by: .seconds(renewal - 1))
            #expect(try await open(vault) == "key-1 secret-1 token-1", "\(lifetime)")
            clock.advance(by: .seconds(1))
            #expect(try await open(vault) == "key-2 secret-2 token-2", "\(lifetime)")
        }
    }

    @Test("goes on with what it has when the provider can't be asked, until that ends")
    func outage() async throws {
        let issuer = TestIssuer(lifetime: .seconds(900)) { number in
            if number > 1 { throw HawserError(.unavailable, "away", isRetryable: true) }
            return .test("key-\(number)")
        }
        let vault = try issuer.vault(clock)
        #expect(try await vault.withCredentials { $0.accessKeyID } == "key-1")
        clock.advance(by: .seconds(700))
        #expect(try await vault.withCredentials { $0.accessKeyID } == "key-1")
        clock.advance(by: .seconds(200))
        await #expect { try await vault.withCredentials { $0.accessKeyID } } throws: {
            ($0 as? HawserError)?.code == .unavailable
        }
    }

    @Test("asks again when it is told that there are others, and when the storage refuses those it has")
    func renewals() async throws {
        let issuer = issuer(.seconds(900))
        let vault = try issuer.vault(clock)
        _ = try await open(vault)
        await vault.outdate()
        #expect(try await open(vault) == "key-2 secret-2 token-2")
        #expect(try await vault.renew(refused: "key-1"))
        #expect(issuer.count == 2)
        #expect(try await vault.renew(refused: "key-2"))
        #expect(try await open(vault) == "key-3 secret-3 token-3")
        // New ones that are refused at once have another reason.
        #expect(try await vault.renew(refused: "key-3") == false)
        #expect(issuer.count == 3)
    }

    @Test("says that there is nothing new when the same come again")
    func sameAgain() async throws {
        let issuer = TestIssuer(lifetime: nil) { _ in .test("shared") }
        let vault = try issuer.vault(clock)
        _ = try await vault.withCredentials { $0.accessKeyID }
        #expect(try await vault.renew(refused: "shared") == false)
    }

    @Test("serves many at once while it renews")
    func concurrency() async throws {
        let issuer = issuer(.seconds(900))
        let vault = try issuer.vault(clock)
        // With some there already, each outdating makes the next one who opens ask, however late the tasks start.
        _ = try await open(vault)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    if number % 10 == 0 { await vault.outdate() }
                    let text = try await open(vault)
                    let parts = text.split(separator: " ").map { $0.split(separator: "-").last }
                    // All of one generation.
                    #expect(Set(parts).count == 1, "\(text)")
                }
            }
            try await group.waitForAll()
        }
        #expect(issuer.count > 1)
    }

    @Test("signs for a store, and loses nothing when credentials are replaced in the middle")
    func store() async throws {
        let issuer = TestIssuer(lifetime: .seconds(900)) { number in
            // Every other one is of somebody whom the storage does not know.
            number % 2 == 1 ? .test() : .test("REVOKED")
        }
        let vault = try issuer.vault(clock)
        try await withS3TestServer { server in
            try await withStore(try S3Endpoint(parsing: server.endpoint), credentials: vault) { store in
                for seed in 0..<6 as Range<UInt64> {
                    let object = TestObject(length: 1000, seed: seed)
                    let result = try await store.put(object.key, object.bytes, sha256: object.sha256)
                    #expect(result == .created)
                    if seed % 2 == 0 { await vault.outdate() }
                    clock.advance(by: .seconds(60))
                }
            }
        }
        #expect(issuer.count > 3)
    }

    @Test("shows nothing of what it holds")
    func descriptions() async throws {
        let issuer = issuer(nil)
        let vault = try issuer.vault()
        _ = try await open(vault)
        var text = "\(vault) \(String(reflecting: vault))"
        dump(vault, to: &text)
        #expect(!text.contains("secret-1") && !text.contains("token-1"))
    }
}

@Suite("Signing with a secret")
struct SecretAuthenticationTests {
    @Test("computes what the library computes, for secrets of any length")
    func agrees() {
        for length in [0, 1, 16, 40, 59, 60, 61, 64, 100, 300] {
            let secret = Corpus.incompressible(length, seed: UInt64(length))
            let expected = HMAC<SHA256>.authenticationCode(
                for: Array("20260131".utf8),
                using: SymmetricKey(data: Array("AWS4".utf8) + secret)
            )
            let computed = Secret(secret).authenticationCode(prefix: "AWS4", for: "20260131".utf8)
            #expect(Array(computed) == Array(expected), "\(length)")
        }
    }
}
