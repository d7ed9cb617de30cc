import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Logging
import NIOCore
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What serves one session's objects in one repository: its folder in the storage, the bytes it may still store, and the
/// tenant's rate. It runs from the provider's order on; nothing of it is on disk.
final class TargetMover: Sendable {
    let order: Mover
    let blocks: ByteBlocks
    let throttle: Throttle
    private let link: ProviderLink
    private let opened: Task<S3ObjectStore, any Error>
    private let usage = Mutex<(now: MoverUsage, told: MoverUsage)>((MoverUsage(), MoverUsage()))
    private let isStopped = Mutex(false)

    init(_ order: Mover, _ link: ProviderLink, _ clients: StorageClients, _ throttle: Throttle, _ logger: Logger) {
        self.order = order
        self.throttle = throttle
        self.link = link
        blocks = ByteBlocks { request in
            try await Self.ask(link, try ControlRequest.post(GatewayServerAPI.leases(order.id), request))
        }
        // Not within a request: the provider waits for this before the tenant hears of the mover.
        opened = Task { try await Self.openPatiently(order, link, clients, logger) }
    }

    /// A provider's server that was started anew knows no mover of before, and one that has removed this gateway server
    /// knows none of it. That must not reach the tenant as "no such object": it needs another grant.
    private static func ask<Answer: Decodable & Sendable>(
        _ link: ProviderLink,
        _ request: ControlRequest
    ) async throws -> Answer {
        do {
            return try await link.call(request)
        } catch let error as HawserError where [.notFound, .notSignedIn].contains(error.code) {
            throw HawserError.unknownToken
        }
    }

    /// Waits until its storage is known.
    func store() async throws -> S3ObjectStore { try await opened.value }

    /// - Throws: `notSignedIn` once it was stopped.
    func check() throws {
        guard isStopped.withLock({ !$0 }) else { throw HawserError.unknownToken }
    }

    /// Returns when so many bytes may go on at the tenant's rate.
    ///
    /// - Throws: `notSignedIn` once it was stopped, also while it waits.
    func pass(_ bytes: Int) async throws { try await throttle.admit(bytes) { try check() } }

    func count(requests: Int = 0, egress: Int = 0) {
        usage.withLock { usage in
            usage.now.requests += requests
            usage.now.egress += egress
        }
    }

    /// Tells the provider's server what is new. What it does not hear now, it hears the next time.
    func tellUsage() async {
        let (now, told) = usage.withLock { $0 }
        guard now != told, link.isConnected,
            let request = try? ControlRequest.post(GatewayServerAPI.usage(order.id), now),
            (try? await link.tell(request)) != nil
        else { return }
        usage.withLock { $0.told = now }
    }

    /// Running requests end with their next piece. What its leases have left is still to be given back.
    func stop() {
        isStopped.withLock { $0 = true }
        opened.cancel()
    }

    // The provider's server may be gone for some moments, when this one comes back.
    private static let attempts = 60

    private static func openPatiently(
        _ order: Mover,
        _ link: ProviderLink,
        _ clients: StorageClients,
        _ logger: Logger
    ) async throws -> S3ObjectStore {
        for _ in 1..<attempts {
            do {
                return try await open(order, link, clients, logger)
            } catch let error as HawserError where error.isRetryable {
                logger.debug("A mover waits for its storage", metadata: ["mover": "\(order.id)", "error": "\(error)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
        return try await open(order, link, clients, logger)
    }

    /// The secret is in the vault alone, sealed to it on the way.
    private static func open(
        _ order: Mover,
        _ link: ProviderLink,
        _ clients: StorageClients,
        _ logger: Logger
    ) async throws -> S3ObjectStore {
        let told = Mutex<MoverStorageAnswer?>(nil)
        let vault = try CredentialVault(logger: logger) { vaultKey in
            let answer: MoverStorageAnswer = try await ask(
                link,
                try ControlRequest.post(GatewayServerAPI.credentials(order.id), MoverStorageRequest(vaultKey: vaultKey))
            )
            told.withLock { $0 = answer }
            return CredentialVault.Delivery(
                credentials: SealedS3Credentials(
                    encapsulatedKey: answer.credentials.encapsulatedKey,
                    ciphertext: answer.credentials.ciphertext
                ),
                info: Data(order.session.text.utf8),
                expiresIn: answer.credentials.expiresIn.map { .seconds($0) }
            )
        }
        try await vault.withCredentials { _ in }
        guard let answer = told.withLock({ $0 }) else {
            throw HawserError(.unavailable, "The provider's server told no storage.", isRetryable: true)
        }
        let configuration = S3Configuration(
            endpoint: try S3Endpoint(parsing: answer.storage.endpoint),
            region: answer.storage.region,
            bucket: answer.storage.bucket,
            prefix: answer.folder,
            addressing: answer.storage.usesPathStyle ? .path : .virtualHost,
            trustedCertificates: answer.storage.authority.map { Array($0.utf8) }
        )
        return try S3ObjectStore(
            configuration,
            credentials: vault,
            client: try clients.client(configuration),
            logger: logger
        )
    }
}

extension HawserError {
    static let unknownToken = HawserError(
        .notSignedIn,
        "The gateway server does not know this token (any more). Ask the provider's server for a new grant."
    )
}

/// One HTTP client for each storage, whatever the number of movers: each has a TLS context of its own.
final class StorageClients: Sendable {
    private struct Key: Hashable {
        let endpoint: String
        let authority: [UInt8]?
    }

    private let connections: Int
    private let clients = Mutex<[Key: HTTPClient]>([:])

    /// - Parameter connections: to one storage; as many as requests can run at one time.
    init(connections: Int) {
        self.connections = connections
    }

    func client(_ configuration: S3Configuration) throws -> HTTPClient {
        let key = Key(endpoint: "\(configuration.endpoint)", authority: configuration.trustedCertificates)
        if let known = clients.withLock({ $0[key] }) { return known }
        var shared = configuration
        shared.connections = connections
        var settings = try HTTPClient.Configuration(shared)
        settings.timeout.read = .seconds(60)
        let made = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: settings)
        let kept = clients.withLock { clients in
            if let other = clients[key] { return other }
            clients[key] = made
            return made
        }
        if kept !== made { made.shutdown { _ in } }
        return kept
    }

    func shutdown() async {
        for client in clients.withLock({ $0.values.map(\.self) }) { try? await client.shutdown() }
    }
}
