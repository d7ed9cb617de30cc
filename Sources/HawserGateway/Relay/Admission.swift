import HawserNetwork
import NIOCore

/// Who may connect: limits in total, per address, and of new connections per second. Pure: the time is given.
///
/// Memory: an address stays in the table while it has connections, and afterwards until its allowance is whole again (at
/// most a few seconds), so the table is bounded by the connections and the rate at which a machine can be connected to.
struct Admission {
    private struct Client {
        var open = 0
        /// When the allowance for new connections is whole again (a leaky bucket, as one point in time).
        var wholeAt = NIODeadline.uptimeNanoseconds(0)
    }

    private let limits: CloudGateway.Limits
    /// Of one new connection in the allowance.
    private let interval: TimeAmount
    private let allowance: TimeAmount

    private(set) var open = 0
    private var clients: [IPAddress: Client] = [:]
    private var sweepAt = Admission.smallestSweep
    private static let smallestSweep = 1024

    init(_ limits: CloudGateway.Limits) {
        self.limits = limits
        interval = .nanoseconds(1_000_000_000 / Int64(max(1, limits.newPerSecondAndAddress)))
        allowance = .nanoseconds(interval.nanoseconds * Int64(max(1, limits.burstPerAddress)))
    }

    /// Addresses that are remembered.
    var remembered: Int { clients.count }

    /// `nil` when it may stay; then ``leave(_:)`` must follow.
    mutating func enter(_ address: IPAddress, now: NIODeadline) -> AdmissionRefusal? {
        guard open < limits.connections else { return .total }
        guard !isExempt(address) else {
            open += 1
            return nil
        }
        let key = address.subscriber
        var client = clients[key] ?? Client()
        guard client.open < limits.connectionsPerAddress else { return .address }
        let wholeAt = max(client.wholeAt, now) + interval
        guard wholeAt <= now + allowance else { return .rate }
        client.open += 1
        client.wholeAt = wholeAt
        if clients.count >= sweepAt { sweep(now) }
        clients[key] = client
        open += 1
        return nil
    }

    mutating func leave(_ address: IPAddress) {
        open -= 1
        guard !isExempt(address) else { return }
        let key = address.subscriber
        // It stays for its allowance; a sweep takes it.
        if let count = clients[key]?.open { clients[key]?.open = max(0, count - 1) }
    }

    private mutating func sweep(_ now: NIODeadline) {
        clients = clients.filter { $0.value.open > 0 || $0.value.wholeAt > now }
        // Twice what is left, so that sweeps cost a constant amount for each connection.
        sweepAt = max(Admission.smallestSweep, clients.count * 2)
    }

    private func isExempt(_ address: IPAddress) -> Bool {
        limits.exempt.contains { $0.contains(address) }
    }
}
