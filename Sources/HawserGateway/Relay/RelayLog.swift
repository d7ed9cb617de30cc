import HawserFormat
import HawserNetwork
import Logging
import NIOCore

/// What the relay logs about connections and backends. Every event is counted in the metrics.
final class RelayLog: Sendable {
    private enum Kind: Hashable {
        case admission(AdmissionRefusal)
        case hello(HelloRefusal)
        case backend
        case accept
    }

    private let log: ThrottledLog<Kind>

    init(_ logger: Logger) {
        log = ThrottledLog(logger)
    }

    func refused(_ reason: AdmissionRefusal, _ address: SocketAddress?) {
        log.note(
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
        log.note(.hello(reason), level, "Connection closed before it was relayed", metadata)
    }

    func backendIsAside(_ address: BackendAddress, _ error: any Error) {
        log.note(
            .backend,
            .warning,
            "Backend can't be reached and is set aside",
            [
                "backend": "\(address)", "error": "\(error)",
            ]
        )
    }

    func backendIsBack(_ address: BackendAddress) {
        log.note(.backend, .notice, "Backend is reached again", ["backend": "\(address)"])
    }

    func acceptFailed(_ error: any Error) {
        log.note(.accept, .error, "No connection can be accepted for now", ["error": "\(error)"])
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
