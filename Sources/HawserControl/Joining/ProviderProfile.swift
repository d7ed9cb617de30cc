import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What `hawser login` leaves on a machine: where the provider is, whom to trust, who this machine is.
public struct ProviderProfile: Sendable {
    /// Where the device key is.
    public enum KeyPlace: Sendable {
        /// In the profile's own file.
        case profile(DeviceKey)
        /// A credential of the service manager: a file of that name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
        case credential(String)
        /// What this command of the shell prints.
        case command(String)
    }

    public var domain: String
    /// At least one; tried in turn.
    public var gateways: [GatewayAddress]
    /// Certificates (DER) of the authorities that are trusted, and no others.
    public var authorities: [Data]
    /// As the provider calls them.
    public var tenant: String
    public var subtenant: String?
    public var device: ControlID
    public var key: KeyPlace

    public init(
        domain: String,
        gateways: [GatewayAddress],
        authorities: [Data],
        tenant: String,
        subtenant: String? = nil,
        device: ControlID,
        key: KeyPlace
    ) {
        self.domain = domain
        self.gateways = gateways
        self.authorities = authorities
        self.tenant = tenant
        self.subtenant = subtenant
        self.device = device
        self.key = key
    }

    /// The name that the provider's server has in its certificate.
    public var serverName: String { "control." + domain }
}

extension ProviderProfile {
    private static let version = 1

    private struct Fields: Codable {
        var version: Int
        var domain: String
        var gateways: [String]
        var authorities: [Data]
        var tenant: String
        var subtenant: String?
        var device: ControlID
        var key: Data?
        var keyCredential: String?
        var keyCommand: String?
    }

    /// - Throws: `unsupported` when a later version of Hawser wrote it, `damaged` when it is no profile.
    init(json: [UInt8]) throws {
        struct Head: Decodable { var version: Int }
        do {
            let decoder = JSONDecoder()
            let version = try decoder.decode(Head.self, from: Data(json)).version
            guard version == Self.version else {
                throw HawserError(.unsupported, "The profile has version \(version): a newer program wrote it.")
            }
            let fields = try decoder.decode(Fields.self, from: Data(json))
            let key: KeyPlace =
                switch (fields.key, fields.keyCredential, fields.keyCommand) {
                case (let key?, nil, nil): .profile(try DeviceKey(parsing: [UInt8](key)))
                case (nil, let name?, nil): .credential(name)
                case (nil, nil, let command?): .command(command)
                default: throw Self.damaged(nil)
                }
            let gateways = fields.gateways.compactMap { GatewayAddress($0) }
            guard !gateways.isEmpty, gateways.count == fields.gateways.count, !fields.authorities.isEmpty,
                DomainName.isValid(fields.domain)
            else { throw Self.damaged(nil) }
            self.init(
                domain: fields.domain,
                gateways: gateways,
                authorities: fields.authorities,
                tenant: fields.tenant,
                subtenant: fields.subtenant,
                device: fields.device,
                key: key
            )
        } catch let error as DecodingError {
            // Without what was found: it may be the key.
            throw Self.damaged(error.field)
        }
    }

    var json: [UInt8] {
        get throws {
            var fields = Fields(
                version: Self.version,
                domain: domain,
                gateways: gateways.map(\.description),
                authorities: authorities,
                tenant: tenant,
                subtenant: subtenant,
                device: device
            )
            switch key {
            case .profile(let key): fields.key = key.rawRepresentation
            case .credential(let name): fields.keyCredential = name
            case .command(let command): fields.keyCommand = command
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return [UInt8](try encoder.encode(fields)) + [UInt8(ascii: "\n")]
        }
    }

    private static func damaged(_ field: String?) -> HawserError {
        HawserError(
            .damaged,
            "The profile can't be read\(field.map { " (\($0))" } ?? ""). Ask the provider for a join string and log in again."
        )
    }
}

extension DecodingError {
    /// The name of the field that is not as it should be.
    fileprivate var field: String? {
        switch self {
        case .keyNotFound(let key, _): key.stringValue
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.first?.stringValue
        @unknown default: nil
        }
    }
}
