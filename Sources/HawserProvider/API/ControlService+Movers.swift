import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HawserStorage
import HummingbirdCore
import Logging
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The gateway server's event stream.
extension ControlService {
    @concurrent
    func followMovers(
        of gateway: ControlID,
        _ writer: consuming ResponseWriter,
        _ connection: ControlConnection
    ) async throws {
        let isRelay = try await record(gateway).kind == .relay
        let (number, events) = gatewayHub.open(
            gateway,
            channel: connection.channel,
            isRelay: isRelay,
            try await directory()
        )
        defer { gatewayHub.close(gateway, number: number) }
        // What has changed before the stream was known.
        await refreshDirectory()
        logger.notice("\(isRelay ? "Cloud gateway" : "Gateway server") connected", metadata: ["gateway": "\(gateway)"])
        var head = HTTPResponse(status: .ok)
        head.headerFields[.contentType] = "application/x-ndjson"
        head.headerFields[.cacheControl] = "no-store"
        var body = try await writer.writeHead(head)
        for await event in events {
            var line = try jsonBuffer(event)
            line.writeInteger(UInt8(ascii: "\n"))
            try await body.write(line)
            if case .reconnect = event {
                try await body.finish(nil)
                return
            }
        }
        // The answer must not look whole.
        throw ConnectionOver()
    }

    /// Starts a mover on the first of the gateway servers that does it, and returns its name and the tenant's token.
    func startMover(
        on servers: [GatewayRecord],
        _ session: SessionRecord,
        _ folder: FolderRecord,
        _ purpose: Purpose
    ) async throws -> (server: String, token: String)? {
        let bandwidth = try await database.identity(device: session.device).tenant.settings.bandwidth
        for server in servers {
            let token = Data(randomBytes(32))
            let mover = Mover(
                id: .random(),
                session: session.id,
                repository: folder.repository,
                tenant: session.tenant,
                purpose: purpose,
                token: sha256(token),
                bandwidth: bandwidth,
                largest: maximumObjectLength
            )
            let target = LedgerTarget(session, repository: folder.repository)
            if await gatewayHub.start(mover, on: server.id, target: target, folder: folder.id) {
                // It may have ended meanwhile, before the hub knew of the mover.
                guard database.session(session.id)?.ended == nil else {
                    gatewayHub.stop { $0.mover.id == mover.id }
                    throw HawserError(.sessionOver, "The session was closed.")
                }
                return (server.name, Base64URL.text(token))
            }
            logger.warning("A gateway server does not start movers", metadata: ["gateway": "\(server.name)"])
        }
        return nil
    }

    /// Looks again at who may be connected and which movers may run.
    func refreshGateways() async {
        do {
            gatewayHub.keep(Set(try await database.gateways().filter { $0.publicKey != nil }.map(\.id)))
        } catch {
            logger.error("Reading the gateways failed", metadata: ["error": "\(error)"])
        }
        await refreshDirectory()
        gatewayHub.stop { running in
            database.session(running.mover.session).map { $0.ended != nil } ?? true
        }
    }

    /// One after the other, so that what was read later is told later.
    private func refreshDirectory() async {
        try? await directoryReading.withTaken {
            do {
                gatewayHub.tell(try await directory())
            } catch {
                logger.error("Reading the gateways failed", metadata: ["error": "\(error)"])
            }
        }
    }

    func spreadToGateways(_ change: ProviderChange) async {
        switch change {
        case .general: await refreshGateways()
        case .sessionEnded(let session, _, _): gatewayHub.stop { $0.mover.session == session }
        case .returnUnused(let repository, let tenant): gatewayHub.returnUnused(repository: repository, tenant: tenant)
        case .tenant(let tenant):
            guard gatewayHub.hasMovers(of: tenant), let record = try? await database.tenant(tenant) else { return }
            gatewayHub.setBandwidth(record.settings.bandwidth, of: tenant)
        case .credentials: break
        }
    }
}
