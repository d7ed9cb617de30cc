import Crypto
import Glibc
import HawserControl
import HawserFormat
import HawserStorage

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Where the server's certificate comes from.
enum CertificateSource: Sendable {
    /// Our own authority, whose book is kept sealed.
    case book(CertificateStorage, domain: String)
    /// Somebody else's, who renews these files. Gateway servers' are of our own authority, where there is one.
    case files(ProviderServer.CertificateFiles, domain: String, ConfigurationDatabase)

    // Chains of public authorities have some 5 KiB.
    private static let largestFile = 1 << 20

    private static func serverName(_ domain: String) -> String { "control.\(domain)" }

    /// What the server shows and tells now.
    struct Loaded: Sendable {
        var certificate: ServerCertificate
        /// DER of all authorities that tenants shall trust.
        var authorities: [Data]
        var authorityEnds: Date
        /// Of a rotation.
        var nextStep: Date?
        /// What was due, and was done.
        var events: [CertificateBook.Event] = []
        /// What is used of somebody else's files.
        var given: GivenCertificates?
        /// Why they can't be used as they are now: `given` is what they were before.
        var trouble: (any Error)?
    }

    /// - Parameter last: of somebody else's files, for when they can't be used now: with our own authority everything
    ///   goes on.
    func load(now: Date, last: GivenCertificates? = nil) async throws -> Loaded {
        switch self {
        case .book(let storage, let domain):
            if try await storage.load() == nil {
                guard DomainName.isProviders(domain) else {
                    throw HawserError(.invalidArgument, "This is no domain as the DNS has them.", place: domain)
                }
                try await storage.save(CertificateBook(domain: domain, now: now))
            }
            guard let (book, events) = try await tended(now) else { throw noBook }
            guard let server = book.servers[Self.serverName(domain)] else { throw Self.otherDomain(book, domain) }
            return Loaded(
                certificate: server,
                authorities: book.authorities,
                authorityEnds: book.authorityEnds,
                nextStep: book.nextChange,
                events: events
            )
        case .files(let files, let domain, let database):
            let own = try await tended(now)
            if let own, own.book.domain != domain { throw Self.otherDomain(own.book, domain) }
            let given: GivenCertificates
            var trouble: (any Error)?
            do {
                given = try await Self.read(files, domain: domain, now: now)
            } catch {
                guard let last else { throw error }
                given = last
                trouble = error
            }
            let authorities = given.authorities + (own?.book.authorities ?? [])
            try await database.setGivenAuthorities(.init(domain: domain, authorities: authorities))
            return Loaded(
                certificate: given.server,
                authorities: authorities,
                authorityEnds: min(given.authorityEnds, own?.book.authorityEnds ?? given.authorityEnds),
                nextStep: own?.book.nextChange,
                events: own?.events ?? [],
                given: given,
                trouble: trouble
            )
        }
    }

    private static func otherDomain(_ book: CertificateBook, _ domain: String) -> HawserError {
        HawserError(
            .invalidArgument,
            "The certificates were made for \(book.domain), and this server is to be of \(domain). Set the domain "
                + "back: tenants know the other one."
        )
    }

    private static func read(
        _ files: ProviderServer.CertificateFiles,
        domain: String,
        now: Date
    ) async throws -> GivenCertificates {
        try await GivenCertificates(
            certificate: try await read(files.certificate),
            key: try await read(files.key),
            authority: try await read(files.authority),
            name: serverName(domain),
            now: now
        )
    }

    private var storage: CertificateStorage {
        switch self {
        case .book(let storage, _): storage
        case .files(_, _, let database): CertificateStorage(database)
        }
    }

    /// What is due with our own authority is done; `nil` where there is none.
    private func tended(_ now: Date) async throws -> (book: CertificateBook, events: [CertificateBook.Event])? {
        guard var book = try await storage.load() else { return nil }
        let events = try book.tend(now: now)
        if !events.isEmpty { try await storage.save(book) }
        return (book, events)
    }

    private var noBook: HawserError {
        HawserError(
            .unsupported,
            "The certificates of this server are given files, and it has no authority of its own. Gateway servers need "
                + "one: stop the server, run `hawser-provider init --domain DOMAIN`, and start it again. A given root "
                + "is replaced by another beside it in its file."
        )
    }

    func rotate(overlap: Duration, now: Date) async throws {
        guard var book = try await storage.load() else { throw noBook }
        try book.rotate(overlap: TimeInterval(overlap.components.seconds), now: now)
        try await storage.save(book)
    }

    /// A certificate for a gateway server that keeps its key.
    ///
    /// - Throws: `unsupported` where there is no authority of our own.
    func issue(name: String, publicKey: P256.Signing.PublicKey, now: Date) async throws -> (leaf: Data, end: Date) {
        guard let book = try await storage.load() else { throw noBook }
        return try book.issue(name: name, publicKey: publicKey, now: now)
    }

    private static func read(_ path: String) async throws -> [UInt8] {
        try await BlockingExecutor.shared.run {
            let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw fileError("This certificate or key can't be read", path) }
            defer { close(descriptor) }
            guard let bytes = readAll(descriptor, limit: largestFile) else {
                throw fileError("This certificate or key can't be read", path)
            }
            guard bytes.count <= largestFile else {
                throw HawserError(.invalidArgument, "This is no certificate or key: it is too large.", place: path)
            }
            return bytes
        }
    }
}

/// Keeps the book between two runs. It holds private keys: what implements this seals them.
struct CertificateStorage: Sendable {
    var loadBytes: @Sendable () async throws -> [UInt8]?
    var saveBytes: @Sendable ([UInt8]) async throws -> Void

    func load() async throws -> CertificateBook? {
        guard let bytes = try await loadBytes() else { return nil }
        do {
            return try JSONDecoder().decode(CertificateBook.self, from: Data(bytes))
        } catch {
            throw HawserError(
                .damaged,
                "The certificates in the configuration database can't be read. Restore it from its backup.",
                cause: error
            )
        }
    }

    func save(_ book: CertificateBook) async throws {
        try await saveBytes(Array(try JSONEncoder().encode(book)))
    }
}

extension CertificateSource {
    /// As the server is configured; the book lies sealed in its configuration database.
    init(_ configuration: ProviderServer.Configuration, _ database: ConfigurationDatabase) {
        self =
            if let files = configuration.certificateFiles {
                .files(files, domain: configuration.domain, database)
            } else {
                .book(CertificateStorage(database), domain: configuration.domain)
            }
    }
}

extension CertificateStorage {
    private static let name = "certificates"

    init(_ database: ConfigurationDatabase) {
        self.init(
            loadBytes: { try await database.secret(Self.name)?.bytes },
            saveBytes: { try await database.setSecret(Self.name, Secret($0)) }
        )
    }
}

/// Whom tenants trust where certificates are given: for join strings that are made while the server is stopped.
struct GivenAuthorities: Codable, Hashable, Sendable {
    var domain: String
    /// DER.
    var authorities: [Data]
}

extension ConfigurationDatabase {
    func givenAuthorities() async throws -> GivenAuthorities? { try await read { try Setting.given.read($0) } }

    /// - Parameter given: `nil` when the certificates are of our own authority.
    func setGivenAuthorities(_ given: GivenAuthorities?) async throws {
        guard try await givenAuthorities() != given else { return }
        try await write { try Setting.given.set(given, $0.db) }
    }
}
