import CoreMetrics
import HawserControl
import HawserFormat
import HawserNetwork
import Logging
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a running server consists of.
struct ServerParts: Sendable {
    // Lease ends and silent sessions are to be noticed within a second.
    private static let tick = Duration.seconds(1)
    /// In ticks: the database's sign of life.
    private static let beat = 10

    let hub: EventHub
    let channel: ControlChannel
    let certificates: CertificateKeeper
    let database: ConfigurationDatabase
    let storageWork: StorageWork
    private let service: ControlService
    private let counter: ConnectionCounter
    /// Since before anybody could connect.
    private let changes: AsyncStream<[ProviderChange]>
    private let logger: Logger

    init(
        _ configuration: ProviderServer.Configuration,
        _ database: ConfigurationDatabase,
        _ certificates: CertificateKeeper,
        _ logger: Logger
    ) {
        let hub = EventHub(configuration.limits)
        let counter = ConnectionCounter(configuration.limits)
        let storageWork = StorageWork(database, configuration.storageWork, logger: logger)
        let service = ControlService(
            domain: configuration.domain,
            database: database,
            certificates: certificates,
            hub: hub,
            limits: configuration.limits,
            metrics: ServerMetrics(),
            storageWork: storageWork,
            logger: logger
        )
        channel = ControlChannel(
            limits: configuration.limits,
            counter: counter,
            context: { certificates.context },
            relays: configuration.relays,
            logger: logger,
            onRefused: ServerMetrics.refused,
            responder: { request, writer, connection in try await service.respond(request, writer, connection) }
        )
        self.hub = hub
        self.storageWork = storageWork
        self.service = service
        self.counter = counter
        self.certificates = certificates
        self.database = database
        changes = database.changes()
        self.logger = logger
    }

    /// Ends all event streams.
    func stopStreams() {
        hub.stop()
        service.gatewayHub.stop()
    }

    /// From the configuration database to the event streams.
    func spreadChanges() async {
        for await changes in changes {
            for change in changes {
                hub.spread(change)
                await service.spreadToGateways(change)
            }
        }
    }

    /// Heartbeats, the end of sessions, and the server's own sign of life in the database; until cancelled, also through a
    /// graceful stop.
    ///
    /// - Throws: `takenOver` when another server writes to the database: this one must end.
    func keepHouse(_ health: DatabaseHealth) async throws {
        let sessions = Gauge(label: "hawser_control_sessions")
        let streams = Gauge(label: "hawser_control_streams")
        let connections = Gauge(label: "hawser_control_connections")
        let certificate = Gauge(label: "hawser_control_certificate_end_seconds")
        // Before anybody reads that it has ended in 1970.
        certificate.record(certificates.notAfter.timeIntervalSince1970)
        var ticks = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.tick)
            hub.tick()
            service.gatewayHub.tick()
            ticks += 1
            do {
                try await database.endSilentSessions()
                guard ticks % Self.beat == 0 || !health.isGood else { continue }
                try await database.beat()
                if health.succeeded() { logger.notice("The configuration database can be written again") }
            } catch let error as HawserError where error.code == .takenOver {
                throw error
            } catch is CancellationError {
                return
            } catch {
                if health.failed() {
                    logger.error("The configuration database can't be written", metadata: ["error": "\(error)"])
                }
            }
            sessions.record(database.liveSessions().count)
            streams.record(hub.count)
            connections.record(counter.total)
            certificate.record(certificates.notAfter.timeIntervalSince1970)
        }
    }
}
