public import HawserNetwork
public import NIOCore

extension CloudGateway {
    public struct Configuration: Sendable {
        /// Where it listens; port 0 lets the system choose.
        public var addresses: [SocketAddress]
        public var limits: Limits
        /// For a whole ClientHello, from the connection on.
        public var helloLimit: Duration
        /// For one attempt to reach a backend; there are at most three for a connection.
        public var connectLimit: Duration
        /// A relayed connection on which nothing moves for so long is closed. Tenants' streams beat every 20 s.
        public var idleLimit: Duration
        /// How long connections may go on after a graceful shutdown has begun.
        public var drainLimit: Duration
        /// Connections that the kernel holds until they are accepted; it has a maximum of its own
        /// (`net.core.somaxconn`).
        public var backlog: Int

        public init(
            addresses: [SocketAddress],
            limits: Limits = Limits(),
            helloLimit: Duration = .seconds(5),
            connectLimit: Duration = .seconds(5),
            idleLimit: Duration = .seconds(300),
            drainLimit: Duration = .seconds(30),
            backlog: Int = 4096
        ) {
            self.addresses = addresses
            self.limits = limits
            self.helloLimit = helloLimit
            self.connectLimit = connectLimit
            self.idleLimit = idleLimit
            self.drainLimit = drainLimit
            self.backlog = backlog
        }
    }

    /// Over a limit a connection is closed before a byte of it is read. "Address" is an IPv4 address or an IPv6 /64.
    public struct Limits: Sendable {
        /// Open at one time, in total. Each takes two descriptors.
        public var connections: Int
        /// Open at one time, of one address. Behind one address may be a whole company; a machine that backs up has up to
        /// 20.
        public var connectionsPerAddress: Int
        /// New ones in a second, of one address, on average.
        public var newPerSecondAndAddress: Int
        /// New ones at once, of one address that was quiet before.
        public var burstPerAddress: Int
        /// Addresses with no limit of their own: monitoring, and big customers behind one address. The total holds for
        /// them as well.
        public var exempt: [AddressBlock]

        public init(
            connections: Int = 8000,
            connectionsPerAddress: Int = 256,
            newPerSecondAndAddress: Int = 50,
            burstPerAddress: Int = 200,
            exempt: [AddressBlock] = []
        ) {
            self.connections = connections
            self.connectionsPerAddress = connectionsPerAddress
            self.newPerSecondAndAddress = newPerSecondAndAddress
            self.burstPerAddress = burstPerAddress
            self.exempt = exempt
        }
    }
}
