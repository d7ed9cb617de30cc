import CoreMetrics
import HTTPTypes
import HawserNetwork

/// What the server counts. All labels are of fixed sets: nothing that a client sends becomes one.
struct ServerMetrics: Sendable {
    private struct Operation: Sendable {
        let time: CoreMetrics.Timer
        /// By the first digit of the status, from 2.
        let answers: [Counter]
    }

    private let operations: [ControlOperation: Operation]
    private let unknown: Counter
    private let limited: Counter

    init() {
        operations = Dictionary(
            uniqueKeysWithValues: ControlOperation.allCases.map { operation in
                let name = [("operation", operation.rawValue)]
                let answers = (2...5).map {
                    Counter(label: "hawser_control_requests_total", dimensions: name + [("status", "\($0)xx")])
                }
                let time = CoreMetrics.Timer(label: "hawser_control_request_seconds", dimensions: name)
                return (operation, Operation(time: time, answers: answers))
            }
        )
        unknown = Counter(
            label: "hawser_control_requests_total",
            dimensions: [("operation", "none"), ("status", "4xx")]
        )
        limited = Counter(label: "hawser_control_limited_requests_total")
    }

    func answered(_ operation: ControlOperation?, _ status: HTTPResponse.Status, after time: Duration) {
        guard let operation, let metrics = operations[operation] else {
            unknown.increment()
            return
        }
        metrics.answers[min(max(status.code / 100, 2), 5) - 2].increment()
        metrics.time.recordNanoseconds(Int64(time / .nanoseconds(1)))
    }

    func limitedRequest() { limited.increment() }

    static func refused(_ why: ConnectionRefused) {
        Counter(label: "hawser_control_refused_connections_total", dimensions: [("limit", why.rawValue)]).increment()
    }
}
