import Crypto
import Foundation
import HawserControl
import HawserFormat
import HawserTestServer
import HawserTesting
import Logging
import NIOSSL
import SwiftASN1
import Testing
import X509

@testable import HawserProvider

/// Tenants' machines and the server, over TLS, while another authority takes the old one's place.
@Suite("An authority of the provider's", .timeLimit(.minutes(15)))
struct AuthorityChangeTests {
    /// A machine with what it knows of the authorities.
    private struct Machine {
        var profile: ProviderProfile
        let key: DeviceKey

        init(_ client: TestClient, _ name: String) async throws {
            (profile, key) = try await client.logIn(as: name)
        }

        /// Learns what the server tells.
        mutating func signIn(_ client: TestClient) async throws {
            // Longer than the suite may take: a machine that is busy is waited for.
            profile = try await Self.signIn(client, try known(client), key, patience: .seconds(3600))
        }

        /// - Returns: whether it is for its certificate that the server is not spoken to.
        func refuses(_ client: TestClient) async throws -> Bool {
            while true {
                do {
                    _ = try await Self.signIn(client, try known(client), key, patience: .zero)
                    return false
                } catch let error as HawserError where error.code == .unavailable {
                    if error.cause is NIOSSLError || error.cause is NIOSSLExtraError { return true }
                }
            }
        }

        private func known(_ client: TestClient) throws -> ProviderProfile {
            var profile = profile
            profile.gateways = [try #require(GatewayAddress("127.0.0.1:\(client.port)"))]
            return profile
        }

        private static func signIn(
            _ client: TestClient,
            _ profile: ProviderProfile,
            _ key: DeviceKey,
            patience: Duration
        ) async throws -> ProviderProfile {
            let learned = Shared(profile)
            let learn = { @Sendable (changed: ProviderProfile) in learned.withLock { $0 = changed } }
            var settings = ProviderConnection.Settings()
            settings.patience = patience
            _ = try await withProviderConnection(
                profile,
                key: key,
                purpose: .restore,
                agent: "test",
                settings: settings,
                logger: client.provider.log.logger,
                onProfileChange: learn
            ) { try await $0.waitUntilConnected() }
            return learned.withLock { $0 }
        }
    }

    @Test("of our own is announced, signs after the overlap, and the old one is dropped after another")
    func own() async throws {
        let day: TimeInterval = 86_400
        try await withProviderFolder { provider in
            let storage = CertificateStorage(provider.database)
            // As many days ago as the stage wants, so that what is shown is good today.
            var book = try CertificateBook(domain: ServedProvider.domain, now: Date() - 61 * day)
            try await storage.save(book)
            let old = book.authorities
            let (first, late) = try await provider.withServer { client async throws in
                (try await Machine(client, "steady"), try await Machine(client, "late"))
            }
            var steady = first
            #expect(late.profile.authorities == old)

            book = try #require(try await storage.load())
            try book.rotate(overlap: 30 * day, now: Date() - 29 * day)
            try await storage.save(book)
            let both = book.authorities
            var newcomer = try await provider.withServer { client async throws in
                try await steady.signIn(client)
                #expect(steady.profile.authorities == both)
                return try await Machine(client, "newcomer")
            }
            #expect(newcomer.profile.authorities == both)

            // Two days later the new one signs.
            book = try CertificateBook.aged(book, by: 2 * day)
            try await storage.save(book)
            try await provider.withServer { client async throws in
                try await newcomer.signIn(client)
                try await steady.signIn(client)
                #expect(try await late.refuses(client))
            }
            #expect(steady.profile.authorities == [both[1], both[0]])

            book = try CertificateBook.aged(try #require(try await storage.load()), by: 31 * day)
            try await storage.save(book)
            try await provider.withServer { client async throws in
                try await steady.signIn(client)
                try await newcomer.signIn(client)
                #expect(try await late.refuses(client))
            }
            #expect(steady.profile.authorities == [both[1]])
        }
    }

    @Test("of somebody else's is given as files, and another root stands beside it in its file for the overlap")
    func given() async throws {
        let (old, new) = (try GivenRoot("old"), try GivenRoot("new"))
        try await withProviderFolder { provider in
            let files = GivenFiles(provider.folder.path)
            func served<Result: Sendable>(
                by signer: GivenRoot,
                _ roots: [GivenRoot],
                _ body: (TestClient) async throws -> Result
            ) async throws -> Result {
                try files.write(try signer.server(), roots)
                return try await provider.withServer(
                    {
                        $0.certificateFiles = files.paths
                        $0.folder = provider.folder
                    },
                    body
                )
            }
            let socket = provider.folder.adminSocket
            let (first, late) = try await served(by: old, [old]) { client async throws in
                try await AdminClient.withClient(socket: socket) { admin in
                    let shown = try await admin.perform(AuthorityStatus.operation, Data())
                    let status = try JSONDecoder().decode(AuthorityStatus.self, from: shown)
                    #expect(status.isGiven && status.authorities == [old.der])
                    await expectError(.unsupported) {
                        try await admin.perform(
                            RotateAuthority.operation,
                            try JSONEncoder().encode(RotateAuthority(days: 30))
                        )
                    }
                }
                return (try await Machine(client, "steady"), try await Machine(client, "late"))
            }
            var steady = first
            #expect(steady.profile.authorities == [old.der])

            var newcomer = try await served(by: old, [old, new]) { client async throws in
                try await steady.signIn(client)
                return try await Machine(client, "newcomer")
            }
            for machine in [steady, newcomer] { #expect(machine.profile.authorities == [old.der, new.der]) }

            try await served(by: new, [new]) { client async throws in
                try await steady.signIn(client)
                try await newcomer.signIn(client)
                #expect(try await late.refuses(client))
            }
            // A join string that is made while the server is stopped pins the same.
            let admin = AdminService(
                provider.database,
                folder: provider.folder,
                joinString: try await provider.database.joinStrings()
            )
            _ = try await admin.perform(GatewayAdd(name: "g1", kind: .relay, address: "127.0.0.1:6180"))
            let answer = try await admin.perform(TenantJoinCode(tenant: "acme"))
            provider.log.addSecret(answer.code)
            #expect(try JoinString(parsing: answer.joinString).authorities == [new.der])
            // So it does again after the server has gone back to an authority of its own.
            let own = try await provider.withServer { _ in try await provider.authorities() }
            #expect(own != [new.der])
        }
    }

    @Test("of our own signs for gateway servers where the server's certificate is given, and tenants trust both")
    func gatewayServers() async throws {
        let root = try GivenRoot("root")
        try await withS3TestServer { storage in
            try await withProviderFolder { provider in
                let files = GivenFiles(provider.folder.path)
                try files.write(try root.server(), [root])
                try await provider.database.makeCertificates(domain: ServedProvider.domain)
                let own = try #require(try await CertificateStorage(provider.database).load()).authorities
                try await provider.withServer {
                    $0.certificateFiles = files.paths
                } _: { client async throws in
                    let bench = try await GatewayBench(provider, storage, limit: 1 << 20)
                    let session = try await client.signIn()
                    #expect(session.authorities == [root.der] + own)
                    try await bench.withServer(try await bench.join(client)) { port in
                        let object = TestObject(.dataPack, length: 1000, seed: 1)
                        let grant = try await bench.grant(client, session)
                        try await bench.withStore(grant, ports: [port]) { store async throws in
                            _ = try await store.put(object.key, object.bytes, sha256: object.sha256)
                        }
                        #expect(try await bench.stored(object.key, grant) == object.bytes)
                    }
                }
            }
        }
    }

    @Test("is read again while the server runs, and what no tenant would accept changes nothing")
    func renewed() async throws {
        let (root, other) = (try GivenRoot("root"), try GivenRoot("other"))
        try await TestProvider.with { provider in
            let files = GivenFiles(provider.folder.path)
            let source = CertificateSource.files(files.paths, domain: ServedProvider.domain, provider.database)
            let log = ServerLog()
            let first = try root.server()
            for line in first.key.split(separator: "\n").dropFirst().dropLast() { log.addSecret(String(line)) }
            try files.write(first, [root])
            let keeper = try await CertificateKeeper(source, logger: log.logger)
            let context = keeper.context
            let wrong: [(GivenServer, [GivenRoot])] = [
                // Of another root, for another name, with another's key.
                (try other.server(), [root]),
                (try root.server(name: "other." + ServedProvider.domain), [root]),
                (GivenServer(chain: first.chain, key: try root.server().key), [root]),
                (GivenServer(chain: "", key: first.key), [root]),
                (first, []),
            ]
            for (server, roots) in wrong {
                try files.write(server, roots)
                await expectError(.invalidArgument) { try await source.load(now: Date()) }
                await keeper.tend()
                #expect(keeper.context === context)
                #expect(keeper.authorities == [root.der])
            }
            #expect(log.lines.count { $0.contains("Renewing certificates failed") } == wrong.count)
            await expectError(.unsupported) {
                try await source.issue(name: "gs1", publicKey: P256.Signing.PrivateKey().publicKey, now: Date())
            }
            // Through an authority between them.
            try files.write(try root.server(through: try GivenRoot("between", by: root)), [root, other])
            await keeper.tend()
            #expect(keeper.context !== context)
            #expect(keeper.authorities == [root.der, other.der])
            log.expectNoSecret()
        }
    }

    private static func load(
        _ server: GivenServer,
        _ roots: [GivenRoot],
        _ provider: TestProvider
    ) async throws -> CertificateSource.Loaded {
        let files = GivenFiles(provider.folder.path)
        try files.write(server, roots)
        let source = CertificateSource.files(files.paths, domain: ServedProvider.domain, provider.database)
        return try await source.load(now: Date())
    }

    @Test("of somebody else's that has ended is an alarm, as that which the certificate comes from")
    func ended() async throws {
        let (ended, lasting) = (try GivenRoot("ended", days: -1), try GivenRoot("lasting"))
        let between = try GivenRoot("between", by: lasting, days: -1)
        try await TestProvider.with { provider in
            // However long the certificate itself is good.
            var loaded = try await Self.load(try ended.server(), [ended], provider)
            #expect(loaded.certificate.notAfter > Date() && loaded.authorityEnds == ended.end)
            // What will take its place does not yet.
            loaded = try await Self.load(try ended.server(), [lasting, ended], provider)
            #expect(loaded.authorityEnds == ended.end)
            loaded = try await Self.load(try lasting.server(), [ended, lasting], provider)
            #expect(loaded.authorityEnds == lasting.end)
            // No longer than what lies between them.
            loaded = try await Self.load(try lasting.server(through: between), [lasting], provider)
            #expect(loaded.certificate.notAfter == between.end && loaded.authorityEnds == lasting.end)
            loaded = try await Self.load(try lasting.server(days: -1), [lasting], provider)
            #expect(loaded.certificate.notAfter < Date())
        }
    }

    @Test("of somebody else's that no tenant would accept is refused, with the reason")
    func refused() async throws {
        let (root, other) = (try GivenRoot("root"), try GivenRoot("other"))
        let between = try GivenRoot("between", by: root)
        let server = try root.server()
        let wrong: [(String, GivenServer, [GivenRoot])] = [
            ("is no root", try root.server(through: between), [between]),
            ("extended key usage", try root.server(usage: .clientAuth), [root]),
            ("9 roots", server, try (1...9).map { try GivenRoot("\($0)") }),
            ("leads to no root", try other.server(), [root]),
            ("for this name", try root.server(name: "other." + ServedProvider.domain), [root]),
            ("--certificate-key is not", GivenServer(chain: server.chain, key: try root.server().key), [root]),
            ("no PEM files", GivenServer(chain: "", key: server.key), [root]), ("no PEM files", server, []),
        ]
        try await TestProvider.with { provider in
            for (reason, server, roots) in wrong {
                let error = await expectError(.invalidArgument) { try await Self.load(server, roots, provider) }
                #expect(error.map { "\($0)".contains(reason) } == true, "\(reason): \(String(describing: error))")
            }
        }
    }

    @Test("of our own goes on while somebody else's files can't be used")
    func ownBesideBrokenFiles() async throws {
        let root = try GivenRoot("root")
        try await TestProvider.with { provider in
            let database = provider.database
            let (files, log, now) = (GivenFiles(provider.folder.path), ServerLog(), Shared(Date()))
            try files.write(try root.server(), [root])
            try await database.makeCertificates(domain: ServedProvider.domain)
            let old = try #require(try await CertificateStorage(database).load()).authorities
            let source = CertificateSource.files(files.paths, domain: ServedProvider.domain, database)
            let keeper = try await CertificateKeeper(source, now: { now.withLock { $0 } }, logger: log.logger)
            #expect(keeper.authorities == [root.der] + old)
            try files.write(GivenServer(chain: "", key: ""), [])
            try await keeper.rotate(overlap: .seconds(30 * 86_400))
            let both = try #require(try await CertificateStorage(database).load()).authorities
            #expect(both.count == 2 && keeper.authorities == [root.der] + both)
            now.withLock { $0 += 30 * 86_400 }
            await keeper.tend()
            #expect(keeper.authorities == [root.der, both[1], both[0]])
            #expect(try await database.givenAuthorities()?.authorities == keeper.authorities)
            #expect(log.lines.count { $0.contains("Renewing certificates failed") } == 2)
            #expect(log.lines.contains { $0.contains("event=switched") })
            // Nobody takes it for another domain's.
            let other = CertificateSource.files(files.paths, domain: "other.test", database)
            let error = await expectError(.invalidArgument) { try await other.load(now: Date()) }
            #expect(error?.message.contains(ServedProvider.domain) == true)
            await expectError(.invalidArgument) { try await database.makeCertificates(domain: "other.test") }
        }
    }
}

extension CertificateBook {
    /// As it will be in so many seconds: nobody can show a certificate of the future.
    fileprivate static func aged(_ book: CertificateBook, by seconds: TimeInterval) throws -> CertificateBook {
        var fields = try #require(
            try JSONSerialization.jsonObject(with: try JSONEncoder().encode(book)) as? [String: Any]
        )
        for (name, field) in [("next", "switchAt"), ("previous", "retireAt")] {
            guard var step = fields[name] as? [String: Any], let time = step[field] as? Double else { continue }
            step[field] = time - seconds
            fields[name] = step
        }
        return try JSONDecoder().decode(CertificateBook.self, from: try JSONSerialization.data(withJSONObject: fields))
    }
}

/// PEM.
private struct GivenServer {
    var chain: String
    var key: String
}

private struct GivenFiles {
    let paths: ProviderServer.CertificateFiles

    init(_ folder: String) {
        paths = .init(certificate: folder + "/chain.pem", key: folder + "/key.pem", authority: folder + "/root.pem")
    }

    func write(_ server: GivenServer, _ roots: [GivenRoot]) throws {
        try Data(server.chain.utf8).write(to: URL(filePath: paths.certificate))
        try Data(server.key.utf8).write(to: URL(filePath: paths.key))
        try Data(roots.map(\.pem).joined(separator: "\n").utf8).write(to: URL(filePath: paths.authority))
    }
}

/// An authority as somebody else has it.
private struct GivenRoot {
    private let key = P256.Signing.PrivateKey()
    private let certificate: Certificate
    let der: Data
    let pem: String
    var end: Date { certificate.notValidAfter }

    init(_ name: String, by parent: GivenRoot? = nil, days: TimeInterval = 30) throws {
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
            Critical(KeyUsage(keyCertSign: true))
        }
        let issuer = parent.map { (Optional($0.certificate), $0.key) } ?? (nil, key)
        certificate = try Self.sign(key.publicKey, name, by: issuer, days, extensions)
        let document = try certificate.serializeAsPEM()
        (der, pem) = (Data(document.derBytes), document.pemString)
    }

    func server(
        name: String = TestClient.serverName,
        through between: GivenRoot? = nil,
        usage: ExtendedKeyUsage.Usage = .serverAuth,
        days: TimeInterval = 30
    ) throws -> GivenServer {
        let signer = between ?? self
        let leafKey = P256.Signing.PrivateKey()
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            try ExtendedKeyUsage([usage])
            SubjectAlternativeNames([.dnsName(name)])
        }
        let leaf = try Self.sign(leafKey.publicKey, name, by: (signer.certificate, signer.key), days, extensions)
        let chain = [try leaf.serializeAsPEM().pemString] + [between?.pem].compactMap(\.self)
        return GivenServer(chain: chain.joined(separator: "\n"), key: leafKey.pemRepresentation)
    }

    private static func sign(
        _ publicKey: P256.Signing.PublicKey,
        _ name: String,
        by issuer: (certificate: Certificate?, key: P256.Signing.PrivateKey),
        _ days: TimeInterval,
        _ extensions: Certificate.Extensions
    ) throws -> Certificate {
        let subject = try DistinguishedName { CommonName(name) }
        return try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(publicKey),
            notValidBefore: Date() - 3 * 86_400,
            notValidAfter: Date() + days * 86_400,
            issuer: issuer.certificate?.subject ?? subject,
            subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: extensions,
            issuerPrivateKey: Certificate.PrivateKey(issuer.key)
        )
    }
}
