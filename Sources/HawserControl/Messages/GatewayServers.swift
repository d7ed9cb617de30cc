#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What a gateway server asks of the provider's server (`docs/control-protocol.md`, 2 and 3). What is asked of a mover
/// takes the token of the gateway server's sign-in, and only movers that it was told to run exist for it.
public enum GatewayServerAPI {
    public static let gateways = "/v1/gateways"
    public static let sessions = "/v1/gateways/sessions"
    public static let events = "/v1/gateways/events"
    public static let certificates = "/v1/gateways/certificates"
    /// For cloud gateways: takes a ``GatewayLoad``.
    public static let load = "/v1/gateways/load"

    public static func credentials(_ mover: ControlID) -> String { "/v1/movers/\(mover)/credentials" }
    /// Takes a ``LeaseRequest``. Leases are exact: what the gateway server has not used comes back when it says so.
    public static func leases(_ mover: ControlID) -> String { "/v1/movers/\(mover)/leases" }
    /// Takes a ``MoverUsage``.
    public static func usage(_ mover: ControlID) -> String { "/v1/movers/\(mover)/usage" }
}

/// What a mover has done since it was started, for bills.
public struct MoverUsage: Codable, Sendable, Hashable {
    public var requests: Int
    /// Bytes of objects that the tenant was sent.
    public var egress: Int

    public init(requests: Int = 0, egress: Int = 0) {
        self.requests = requests
        self.egress = egress
    }
}

/// `POST /v1/gateways`: trades the one-time code of a join string for the registration of a gateway server's key.
public struct GatewayRegistrationRequest: Codable, Sendable {
    public var code: String
    /// Ed25519, raw, 32 bytes.
    public var publicKey: Data

    public init(code: String, publicKey: Data) {
        self.code = code
        self.publicKey = publicKey
    }
}

public struct GatewayRegistrationAnswer: Codable, Sendable {
    public var gateway: ControlID
    /// Its server name is `<name>.<domain>`.
    public var name: String

    public init(gateway: ControlID, name: String) {
        self.gateway = gateway
        self.name = name
    }
}

/// `POST /v1/gateways/sessions`.
public struct GatewaySignInRequest: Codable, Sendable {
    public var gateway: ControlID
    public var nonce: Data
    /// Of `signedBytes`, by the gateway server's key.
    public var signature: Data

    public init(gateway: ControlID, nonce: Data, signature: Data) {
        self.gateway = gateway
        self.nonce = nonce
        self.signature = signature
    }

    /// - Parameter domain: Of the provider, so that a signature given to one server is worth nothing at another.
    public static func signedBytes(gateway: ControlID, nonce: Data, domain: String) -> Data {
        var bytes = Data("hawser gateway sign-in 1".utf8)
        for part in [Data(gateway.text.utf8), nonce, Data(domain.utf8)] {
            withUnsafeBytes(of: UInt32(part.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(part)
        }
        return bytes
    }
}

public struct GatewaySignInAnswer: Codable, Sendable {
    /// Of all further requests: `Authorization: Bearer TOKEN`. 256 random bits, base64url.
    public var token: String
    /// Certificates (DER) of all authorities that may have signed the provider's certificates, now or soon.
    public var authorities: [Data]

    public init(token: String, authorities: [Data]) {
        self.token = token
        self.authorities = authorities
    }
}

/// `POST /v1/gateways/certificates`: asks for a certificate of `<name>.<domain>`.
public struct CertificateRequest: Codable, Sendable {
    /// P-256, as X9.63 has it (65 bytes). The private key never leaves the gateway server.
    public var publicKey: Data

    public init(publicKey: Data) {
        self.publicKey = publicKey
    }
}

public struct CertificateAnswer: Codable, Sendable {
    /// DER, the leaf first.
    public var chain: [Data]
    /// Seconds until it has to be another.
    public var expiresIn: Double

    public init(chain: [Data], expiresIn: Double) {
        self.chain = chain
        self.expiresIn = expiresIn
    }
}

/// `POST /v1/gateways/load`: how much a cloud gateway has to do, so that tenants are sent to others first.
public struct GatewayLoad: Codable, Sendable {
    /// That are open.
    public var connections: Int

    public init(connections: Int) {
        self.connections = connections
    }
}

/// Where a cloud gateway takes connections for a server name.
public struct GatewayServerRoute: Codable, Sendable, Hashable {
    public var name: String
    /// `host:port`.
    public var address: String

    public init(name: String, address: String) {
        self.name = name
        self.address = address
    }
}

/// A target mover that a gateway server shall run: objects of one session in one repository.
public struct Mover: Codable, Sendable, Hashable {
    public var id: ControlID
    public var session: ControlID
    public var repository: ControlID
    public var tenant: ControlID
    public var purpose: Purpose
    /// SHA-256 of the token that the tenant shows.
    public var token: Data
    /// Bytes a second, all movers of the tenant together; `nil`: no limit.
    public var bandwidth: Int?
    /// The longest object, bytes.
    public var largest: Int

    public init(
        id: ControlID,
        session: ControlID,
        repository: ControlID,
        tenant: ControlID,
        purpose: Purpose,
        token: Data,
        bandwidth: Int?,
        largest: Int
    ) {
        self.id = id
        self.session = session
        self.repository = repository
        self.tenant = tenant
        self.purpose = purpose
        self.token = token
        self.bandwidth = bandwidth
        self.largest = largest
    }
}

/// One line of a gateway server's event stream.
public enum MoverEvent: Sendable, Hashable {
    /// The first line: all that shall run, and no other.
    case movers([Mover])
    case start(Mover)
    /// Serves nothing from now on; what it has not used of its leases is to be given back.
    case stop(ControlID)
    /// Another session needs what this mover's leases have not used.
    case returnUnused(ControlID)
    /// For cloud gateways: all gateway servers, when the stream begins and whenever that changes.
    case routes([GatewayServerRoute])
    /// `host:port` of all cloud gateways, the ways to the provider's server: when the stream begins and whenever that
    /// changes.
    case gateways([String])
    /// Every 20 s.
    case heartbeat
    /// The server stops; come back after that many seconds.
    case reconnect(after: Double)
    /// Of a later version; to be ignored.
    case unknown(type: String)
}

extension MoverEvent: Codable {
    private enum Key: String, CodingKey {
        case type, movers, mover, id, routes, gateways, after
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        switch try fields.decode(String.self, forKey: .type) {
        case "movers": self = .movers(try fields.decode([Mover].self, forKey: .movers))
        case "start": self = .start(try fields.decode(Mover.self, forKey: .mover))
        case "stop": self = .stop(try fields.decode(ControlID.self, forKey: .id))
        case "returnUnused": self = .returnUnused(try fields.decode(ControlID.self, forKey: .id))
        case "routes": self = .routes(try fields.decode([GatewayServerRoute].self, forKey: .routes))
        case "gateways": self = .gateways(try fields.decode([String].self, forKey: .gateways))
        case "heartbeat": self = .heartbeat
        case "reconnect": self = .reconnect(after: try fields.decode(Double.self, forKey: .after))
        case let type: self = .unknown(type: type)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        switch self {
        case .movers(let movers):
            try fields.encode("movers", forKey: .type)
            try fields.encode(movers, forKey: .movers)
        case .start(let mover):
            try fields.encode("start", forKey: .type)
            try fields.encode(mover, forKey: .mover)
        case .stop(let id):
            try fields.encode("stop", forKey: .type)
            try fields.encode(id, forKey: .id)
        case .returnUnused(let id):
            try fields.encode("returnUnused", forKey: .type)
            try fields.encode(id, forKey: .id)
        case .routes(let routes):
            try fields.encode("routes", forKey: .type)
            try fields.encode(routes, forKey: .routes)
        case .gateways(let gateways):
            try fields.encode("gateways", forKey: .type)
            try fields.encode(gateways, forKey: .gateways)
        case .heartbeat:
            try fields.encode("heartbeat", forKey: .type)
        case .reconnect(let after):
            try fields.encode("reconnect", forKey: .type)
            try fields.encode(after, forKey: .after)
        case .unknown(let type):
            try fields.encode(type, forKey: .type)
        }
    }
}

/// `POST /v1/movers/{id}/credentials`: asks for the mover's storage and the key to it. It also says that the mover runs.
public struct MoverStorageRequest: Codable, Sendable {
    /// X25519, raw: of the gateway server's credential vault.
    public var vaultKey: Data

    public init(vaultKey: Data) {
        self.vaultKey = vaultKey
    }
}

public struct MoverStorageAnswer: Codable, Sendable {
    /// As the provider's servers see it.
    public var storage: Grant.Storage
    /// In the bucket, ends with `/`.
    public var folder: String
    /// Bound to the session's id.
    public var credentials: SealedCredentials

    public init(storage: Grant.Storage, folder: String, credentials: SealedCredentials) {
        self.storage = storage
        self.folder = folder
        self.credentials = credentials
    }
}
