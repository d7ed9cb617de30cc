import Metrics
import NIOConcurrencyHelpers
import NIOCore

/// The relay's metrics; what each means stands in docs/provider/cloud-gateway.md. Labels have few values: reasons, and the
/// backends of the routes file.
final class RelayMetrics: Sendable {
    private struct BackendGauges {
        var connections: Meter
        var isHealthy: Meter
    }

    private let factory: any MetricsFactory
    private let accepted: Counter
    private let open: Meter
    private let relaying: Meter
    private let toBackend: Counter
    private let toClient: Counter
    private let connectTime: Metrics.Timer
    private let acceptErrors: Counter
    private let admissionRefusals: [AdmissionRefusal: Counter]
    private let helloRefusals: [HelloRefusal: Counter]
    private let ends: [RelayEnd: Counter]
    private let reloads: [Bool: Counter]
    private let connects: [Bool: Counter]
    private let backends = NIOLockedValueBox<[BackendAddress: BackendGauges]>([:])

    init(factory: any MetricsFactory) {
        self.factory = factory
        func counter(_ name: String, _ labels: [(String, String)] = []) -> Counter {
            Counter(label: "hawser_relay_\(name)_total", dimensions: labels, factory: factory)
        }
        func counters<Reason: CaseIterable & Hashable & RawRepresentable<String>>(
            _ name: String,
            _ label: String,
            of: Reason.Type
        ) -> [Reason: Counter] {
            // All from the start, so that a rate over the first one is right.
            Dictionary(
                uniqueKeysWithValues: Reason.allCases.map { ($0, counter(name, [(label, $0.rawValue)])) }
            )
        }
        accepted = counter("connections_accepted")
        open = Meter(label: "hawser_relay_connections_open", factory: factory)
        relaying = Meter(label: "hawser_relay_connections_relaying", factory: factory)
        toBackend = counter("bytes", [("direction", "to_backend")])
        toClient = counter("bytes", [("direction", "to_client")])
        connectTime = Metrics.Timer(label: "hawser_relay_connect_seconds", factory: factory)
        acceptErrors = counter("accept_errors")
        admissionRefusals = counters("connections_refused", "reason", of: AdmissionRefusal.self)
        helloRefusals = counters("hellos_refused", "reason", of: HelloRefusal.self)
        ends = counters("connections_ended", "reason", of: RelayEnd.self)
        reloads = [
            true: counter("reloads", [("result", "ok")]), false: counter("reloads", [("result", "refused")]),
        ]
        connects = [
            true: counter("backend_connects", [("result", "ok")]),
            false: counter("backend_connects", [("result", "failed")]),
        ]
    }

    func opened() {
        accepted.increment()
        open.increment()
    }

    func closed() { open.decrement() }
    func refused(_ reason: AdmissionRefusal) { admissionRefusals[reason]?.increment() }
    func refused(_ reason: HelloRefusal) { helloRefusals[reason]?.increment() }
    func acceptFailed() { acceptErrors.increment() }
    func reloaded(ok: Bool) { reloads[ok]?.increment() }

    func connected(ok: Bool, after time: TimeAmount) {
        connects[ok]?.increment()
        if ok { connectTime.recordNanoseconds(time.nanoseconds) }
    }

    func relayBegins() { relaying.increment() }

    func relayEnded(_ reason: RelayEnd) {
        relaying.decrement()
        ends[reason]?.increment()
    }

    func relayed(_ count: Int, from side: RelayState.Side) {
        (side == .client ? toBackend : toClient).increment(by: count)
    }

    // MARK: Backends

    /// These are in the routes; gauges of others disappear.
    func show(_ addresses: Set<BackendAddress>) {
        backends.withLockedValue { backends in
            for (address, gauges) in backends where !addresses.contains(address) {
                gauges.connections.destroy()
                gauges.isHealthy.destroy()
                backends[address] = nil
            }
            for address in addresses where backends[address] == nil {
                let labels = [("backend", "\(address)")]
                let gauges = BackendGauges(
                    connections: Meter(
                        label: "hawser_relay_backend_connections",
                        dimensions: labels,
                        factory: factory
                    ),
                    isHealthy: Meter(label: "hawser_relay_backend_healthy", dimensions: labels, factory: factory)
                )
                gauges.connections.set(0)
                gauges.isHealthy.set(1)
                backends[address] = gauges
            }
        }
    }

    func set(_ health: Backends.Health?, of address: BackendAddress) {
        guard let health else { return }
        backends.withLockedValue { backends in
            backends[address]?.connections.set(health.load)
            backends[address]?.isHealthy.set(health.failures == 0 ? 1 : 0)
        }
    }
}
