/// Texts for the metrics' HELP lines.
enum RelayHelp {
    static let texts = [
        "hawser_relay_connections_accepted_total": "Connections that were let in.",
        "hawser_relay_connections_refused_total": "Connections closed before a byte was read, by reason.",
        "hawser_relay_connections_open": "Clients' connections that are open.",
        "hawser_relay_connections_relaying": "Connections that are relayed to a backend.",
        "hawser_relay_connections_ended_total": "Relayed connections that ended, by reason.",
        "hawser_relay_hellos_refused_total": "Connections closed before they were relayed, by reason.",
        "hawser_relay_bytes_total": "Bytes relayed, by direction.",
        "hawser_relay_backend_connects_total": "Attempts to reach a backend, by result.",
        "hawser_relay_connect_seconds": "Time until a backend was reached.",
        "hawser_relay_backend_connections": "Connections that a backend has, or is about to have.",
        "hawser_relay_backend_healthy": "1, or 0 while a backend is set aside.",
        "hawser_relay_accept_errors_total": "Connections that could not be accepted.",
        "hawser_relay_reloads_total": "Routes read or learned after the start, by result.",
    ]
}
