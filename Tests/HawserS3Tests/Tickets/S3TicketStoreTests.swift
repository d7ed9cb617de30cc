import HawserFormat
import HawserStorage
import HawserTestServer
import HawserTesting
import Synchronization
import Testing

@testable import HawserS3

/// Signs as a provider's server does.
private final class TestTickets: S3TicketIssuer {
    private let location: S3Location
    private let listing: S3ObjectStore
    /// Seconds.
    private let lifetime: Int
    private let refused = Mutex(0)

    init(_ configuration: S3Configuration, listing: S3ObjectStore, lifetime: Int = 900) {
        location = S3Location(configuration)
        self.listing = listing
        self.lifetime = lifetime
    }

    /// How many requests to read were made for a refused one.
    var refusals: Int { refused.withLock { $0 } }

    private func sign(_ request: SigV4Request, lifetime: Int) -> S3Ticket {
        var request = request
        SigV4Signer(region: location.region).presign(&request, expiresIn: lifetime, with: .test(), at: .now)
        return S3Ticket(url: location.url(request.target), headers: request.headers)
    }

    func ticket(toPut key: ObjectKey, length: Int, sha256: ObjectName) async throws -> S3Ticket? {
        var request = SigV4Request(method: "PUT", host: location.host, path: location.path(key.path))
        request.headers = [
            ("content-length", String(length)), ("content-type", "application/octet-stream"), ("if-none-match", "*"),
        ]
        request.payload = .sha256(sha256)
        return sign(request, lifetime: lifetime)
    }

    func ticket(toGet key: ObjectKey, isRefused: Bool) async throws -> S3Ticket {
        if isRefused { refused.withLock { $0 += 1 } }
        let request = SigV4Request(
            method: "GET",
            host: location.host,
            path: location.path(key.path),
            payload: .unsigned
        )
        return sign(request, lifetime: isRefused ? 900 : lifetime)
    }

    func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        try await listing.list(prefix: prefix, after: after, limit: limit)
    }
}

@Suite("A store of presigned requests")
struct S3TicketStoreTests {
    private func run(
        lifetime: Int = 900,
        hasReader: Bool = false,
        _ body: (S3TicketStore, TestTickets, S3TestServer) async throws -> Void
    ) async throws {
        try await withS3TestServer { server in
            try await withStore(try S3Endpoint(parsing: server.endpoint)) { reader in
                let tickets = TestTickets(reader.configuration, listing: reader, lifetime: lifetime)
                let store = try S3TicketStore(
                    reader.configuration,
                    issuer: tickets,
                    reader: hasReader ? reader : nil
                )
                do {
                    try await body(store, tickets, server)
                } catch {
                    await store.shutdown()
                    throw error
                }
                await store.shutdown()
            }
        }
    }

    @Test(
        "keeps the contract of object stores, but for deletions",
        arguments: ObjectStoreContract.checks.filter { !$0.needs.contains(.deletion) },
        [false, true]
    )
    func contract(_ check: ObjectStoreContract.Check, hasReader: Bool) async throws {
        try await run(hasReader: hasReader) { store, _, _ in try await check.run(store) }
    }

    @Test("sends no key of its own, and what is sent under another hash is refused by the storage")
    func isBound() async throws {
        try await run { store, _, server in
            let object = TestObject(length: 100_000, seed: 1)
            let error = try await hawserError {
                _ = try await store.put(object.key, Corpus.flipping(bit: 9, of: object.bytes), sha256: object.sha256)
            }
            #expect(!error.isRetryable || error.code == .unavailable)
            #expect(try await store.head(object.key) == nil)
            #expect(server.counts[.put] == 1)
            #expect(try await hawserError { try await store.delete([object.key]) }.code == .unsupported)
        }
    }

    @Test("asks again when a request for reading has ended")
    func expired() async throws {
        try await run { store, tickets, server in
            let object = TestObject(length: 5_000, seed: 1)
            _ = try await store.put(object.key, object.bytes, sha256: object.sha256)
            server.add(ServerFault(.answer(.error(403, "AccessDenied")), on: [.get]))
            #expect(try await store.get(object.key, range: 10..<20) == Array(object.bytes[10..<20]))
            #expect(tickets.refusals == 1)
            try server.verifyAllFired()
        }
    }
}
