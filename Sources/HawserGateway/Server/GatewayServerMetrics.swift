import HTTPTypes
import Metrics

/// What a gateway server counts. All labels are of fixed sets: nothing that a tenant sends becomes one.
struct GatewayServerMetrics: Sendable {
    private let answers: [String: [Counter]]
    private let taken = Counter(label: "hawser_gateway_server_received_bytes_total")
    private let given = Counter(label: "hawser_gateway_server_sent_bytes_total")
    private let movers = Gauge(label: "hawser_gateway_server_movers")
    private let running = Gauge(label: "hawser_gateway_server_running_requests")
    private let connections = Gauge(label: "hawser_gateway_server_connections")
    private let connected = Gauge(label: "hawser_gateway_server_provider_connected")

    init() {
        answers = Dictionary(
            uniqueKeysWithValues: ["put", "get", "head", "list", "none"].map { operation in
                (
                    operation,
                    (2...5).map {
                        Counter(
                            label: "hawser_gateway_server_requests_total",
                            dimensions: [("operation", operation), ("status", "\($0)xx")]
                        )
                    }
                )
            }
        )
    }

    func answered(_ route: GatewayRoute, _ status: HTTPResponse.Status) {
        answers[route.name]?[min(max(status.code / 100, 2), 5) - 2].increment()
    }

    func received(_ bytes: Int) { taken.increment(by: bytes) }
    func sent(_ bytes: Int) { given.increment(by: bytes) }

    func record(movers count: Int, running slots: Int, connections total: Int, isConnected: Bool) {
        movers.record(count)
        running.record(slots)
        connections.record(total)
        connected.record(isConnected ? 1 : 0)
    }

    static func refused(_ limit: String) {
        Counter(label: "hawser_gateway_server_refused_connections_total", dimensions: [("limit", limit)]).increment()
    }
}
