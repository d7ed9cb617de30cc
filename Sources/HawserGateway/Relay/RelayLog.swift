import HawserFormat
import HawserNetwork
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// What the relay logs about connections and backends: at most five lines of a kind in ten seconds, so that a flood of
/// connections is no flood of lines. Every event is counted in the metrics.
final class RelayLog: Sendable {
    private enum Kind: Hashable {
        case admission(AdmissionRefusal)
        case hello(HelloRefusal)
        case backend
        case accept
    }

    private let logger: Logger
    private let throttle = NIOLockedValueBox(LogThrottle<Kind>(burst: 5, every: .seconds(10)))

    init(_ logger: Logger) {
        self.logger = logger
    }

    func refused(_ reason: AdmissionRefusal, _ address: SocketAddress?) {
        note(
            .admission(reason),
            .notice,
            "Connection refused: over a limit",
            [
                "reason": "\(reason.rawValue)", "client": "\(address?.forLog ?? "unknown")",
            ]
        )
    }

    func refused(_ reason: HelloRefusal, _ address: SocketAddress?, name: String?) {
        // Port checks of load balancers connect and leave, all day long.
        let level: Logger.Level = reason == .ended ? .debug : reason == .noBackend ? .warning : .notice
        var metadata: Logger.Metadata = [
            "reason": "\(reason.rawValue)", "client": "\(address?.forLog ?? "unknown")",
        ]
        if let name { metadata["name"] = "\(displayText(name.utf8.prefix(64)))" }
        note(.hello(reason), level, "Connection closed before it was relayed", metadata)
    }

    func backendIsAside(_ address: BackendAddress, _ error: any Error) {
        note(
            .backend,
            .warning,
            "Backend can't be reached and is set aside",
            [
                "backend": "\(address)", "error": "\(error)",
            ]
        )
    }

    func backendIsBack(_ address: BackendAddress) {
        note(.backend, .notice, "Backend is reached again", ["backend": "\(address)"])
    }

    func acceptFailed(_ error: any Error) {
        note(.accept, .error, "No connection can be accepted for now", ["error": "\(error)"])
    }

    private func note(
        _ kind: Kind,
        _ level: Logger.Level,
        _ message: Logger.Message,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard logger.logLevel <= level,
            let suppressed = throttle.withLockedValue({ $0.pass(kind, now: .now()) })
        else { return }
        var metadata = metadata()
        if suppressed > 0 { metadata["suppressed"] = "\(suppressed)" }
        logger.log(level: level, message, metadata: metadata)
    }
}

extension SocketAddress {
    /// Address and port only.
    var forLog: String {
        let address = unmapped
        guard let host = address.ipAddress, let port = address.port else { return "unknown" }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
