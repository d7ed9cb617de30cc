/// What keeps one client, or all of them together, from taking the whole server.
public struct ServerLimits: Sendable {
    public struct Rate: Sendable {
        public var perSecond: Double
        /// So many requests may come at once after a pause.
        public var burst: Double

        public init(perSecond: Double, burst: Double) {
            self.perSecond = perSecond
            self.burst = burst
        }
    }

    /// Open at one time, of all addresses. Each costs a descriptor and some 50 KiB.
    public var connections = 20_000
    /// Open at one time, of one address (IPv6: of one /64 network). A tenant has two or three for each running job.
    public var connectionsPerAddress = 256
    public var requestsPerAddress = Rate(perSecond: 100, burst: 1000)
    /// All sessions of the tenant together.
    public var requestsPerTenant = Rate(perSecond: 200, burst: 1000)
    /// Of one machine. Each leaves a row in the configuration database for 90 days.
    public var signInsPerDevice = Rate(perSecond: 0.2, burst: 200)
    /// Requests for deletions, of up to 1,000 objects each. Each leaves rows in the audit log.
    public var deletionsPerTenant = Rate(perSecond: 2, burst: 1000)
    /// Requests before a snapshot is written, of a tenant's or subtenant's repository: each leaves a receipt.
    public var snapshotsPerFolder = Rate(perSecond: 2, burst: 1000)
    /// Addresses without limits of their own: the one address of a large network behind a translator.
    public var exemptAddresses: [AddressBlock] = []
    /// From the connection to the end of the first request's head; behind a relay, once more for the relay's header.
    public var firstHead = Duration.seconds(15)
    /// From the head of a request to the end of its body.
    public var body = Duration.seconds(30)
    /// Without a request. Tenants ask every 30 s.
    public var idle = Duration.seconds(75)
    /// Bytes of a request's head.
    public var head = 16 << 10
    /// Event streams: a line every so often.
    public var heartbeat = Duration.seconds(20)
    /// A reader that takes nothing for so long is dead.
    public var stalled = Duration.seconds(60)
    /// When a graceful stop is over, clients are asked to come back within this time, each at another moment of it.
    public var reconnectSpread = Duration.seconds(5)

    public init() {}

    package func exempts(_ address: IPAddress) -> Bool { exemptAddresses.contains { $0.contains(address) } }
}
