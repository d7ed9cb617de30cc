import Crypto
import HawserControl
import HawserFormat
import HawserStorage
import Logging
import NIOSSL
import ServiceLifecycle
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Has the certificate that the server shows, renews it, and leads the authority through a rotation. Connections take
/// `context` when they begin, so that a renewed certificate needs no restart.
final class CertificateKeeper: Service {
    private struct Current {
        var context: NIOSSLContext
        var loaded: CertificateSource.Loaded
    }

    // A certificate of 90 days is renewed 30 days before its end; given files may change at any time.
    private static let pause = Duration.seconds(60)

    private let source: CertificateSource
    private let now: @Sendable () -> Date
    private let clock: any Clock<Duration>
    private let logger: Logger
    private let current: Mutex<Current>
    /// One change of the book at a time, from reading it to its being saved.
    private let changes = AsyncSemaphore(total: 1)

    /// - Throws: when there is no usable certificate, so that a server without one does not start.
    init(
        _ source: CertificateSource,
        now: @escaping @Sendable () -> Date = { Date() },
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger
    ) async throws {
        let loaded = try await source.load(now: now())
        current = Mutex(Current(context: try loaded.certificate.makeContext(), loaded: loaded))
        self.source = source
        self.now = now
        self.clock = clock
        self.logger = logger
        report(loaded.events)
    }

    /// For the next connection.
    var context: NIOSSLContext { current.withLock { $0.context } }

    /// DER of all authorities that tenants shall trust; empty when the systems' roots are enough.
    var authorities: [Data] { current.withLock { $0.loaded.authorities } }

    /// Whether somebody else makes the certificates.
    var isGiven: Bool { if case .files = source { true } else { false } }

    /// When the certificate that is shown ends.
    var notAfter: Date { current.withLock { $0.loaded.certificate.notAfter } }

    /// When the authority ends that the certificate comes from, or, once one of our own is announced, that; beside
    /// given certificates the earlier of both.
    var authorityEnds: Date { current.withLock { $0.loaded.authorityEnds } }

    /// When a running rotation of the authority takes its next step.
    var nextStep: Date? { current.withLock { $0.loaded.nextStep } }

    /// Looks each minute whether there is something to renew, until it is told to stop.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            while true {
                try? await self.clock.sleep(for: Self.pause)
                guard !Task.isCancelled else { return }
                await self.tend()
            }
        }
    }

    /// Renews what is due; a failure is logged, and the old certificate stays.
    func tend() async {
        do {
            try await changes.withTaken { try await self.load() }
        } catch {
            renewingFailed(error)
        }
    }

    private func renewingFailed(_ error: any Error) {
        logger.error("Renewing certificates failed", metadata: ["error": "\(error)", "ends": "\(notAfter)"])
    }

    /// Announces a new authority; the rest follows by itself.
    ///
    /// - Parameter overlap: for so long tenants hear of it before it signs, and the old one stays trusted afterwards.
    func rotate(overlap: Duration) async throws {
        try await changes.withTaken {
            try await self.source.rotate(overlap: overlap, now: self.now())
            self.report([.init(kind: .announced)])
            try await self.load()
        }
    }

    /// - Parameter publicKey: P-256, as X9.63 has it.
    func issue(name: String, publicKey: Data) async throws -> CertificateAnswer {
        guard let key = try? P256.Signing.PublicKey(x963Representation: publicKey) else {
            throw HawserError(.invalidArgument, "This is no public key of P-256.")
        }
        let now = now()
        let (leaf, end) = try await source.issue(name: name, publicKey: key, now: now)
        logger.notice("Certificate issued", metadata: ["name": "\(name)", "ends": "\(end)"])
        return CertificateAnswer(chain: [leaf], expiresIn: end.timeIntervalSince(now))
    }

    private func load() async throws {
        let loaded = try await source.load(now: now(), last: current.withLock { $0.loaded.given })
        let isNew = current.withLock { $0.loaded.certificate.chain != loaded.certificate.chain }
        let context = isNew ? try loaded.certificate.makeContext() : nil
        current.withLock { current in
            current.loaded = loaded
            if let context { current.context = context }
        }
        report(loaded.events)
        if let trouble = loaded.trouble { renewingFailed(trouble) }
    }

    private func report(_ events: [CertificateBook.Event]) {
        for event in events {
            var metadata: Logger.Metadata = ["event": "\(event.kind.rawValue)"]
            if let name = event.name { metadata["name"] = "\(name)" }
            logger.notice("Certificates changed", metadata: metadata)
        }
    }
}
