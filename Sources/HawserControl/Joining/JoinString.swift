import Crypto
import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What a provider gives to a tenant for one machine: `hawser-join:` and, in base64url, a compact JSON with the first
/// four bytes of its SHA-256 behind it, so that a slip of copying is told apart from everything else.
public struct JoinString: Hashable, Sendable {
    /// The provider's: `control.<domain>` is the name of his server.
    public var domain: String
    /// Of the cloud gateways; at least one.
    public var gateways: [GatewayAddress]
    /// As the provider calls the tenant, or the subtenant.
    public var tenant: String
    /// Certificates (DER) of the provider's authorities: the only ones that the tenant trusts. At least one.
    public var authorities: [Data]
    /// Good for one registration, for some days.
    public var code: String

    public init(domain: String, gateways: [GatewayAddress], tenant: String, authorities: [Data], code: String) {
        self.domain = domain
        self.gateways = gateways
        self.tenant = tenant
        self.authorities = authorities
        self.code = code
    }

    private static let prefix = "hawser-join:"
    private static let version = 1
    private static let checksumLength = 4
    // A pool of gateways and an authority in rotation are a few KiB.
    private static let longest = 64 << 10

    /// - Throws: `invalidArgument` when it is no join string, `damaged` when it was not copied as a whole,
    ///   `unsupported` when a later version of Hawser made it.
    public init(parsing text: String) throws {
        let text = text.drop(while: \.isWhitespace)
        guard text.hasPrefix(Self.prefix), text.utf8.count <= Self.longest else {
            throw HawserError(
                .invalidArgument,
                "This is no join string: it begins with «\(Self.prefix)». The provider's administrator makes one."
            )
        }
        let digits = text.dropFirst(Self.prefix.count).reversed().drop(while: \.isWhitespace).reversed()
        guard let bytes = Base64URL.bytes(String(digits)), bytes.count > Self.checksumLength,
            Self.checksum(bytes.dropLast(Self.checksumLength)) == bytes.suffix(Self.checksumLength)
        else {
            throw HawserError(
                .damaged,
                "The join string was changed or cut off on its way here: copy it again, as a whole and in one line."
            )
        }
        try self.init(json: bytes.dropLast(Self.checksumLength))
    }

    private init(json: Data) throws {
        let decoder = JSONDecoder()
        guard let head = try? decoder.decode(Head.self, from: json) else { throw Self.malformed("") }
        guard head.version == Self.version else {
            throw HawserError(
                .unsupported,
                "The join string has version \(head.version), this program knows \(Self.version): install a newer one."
            )
        }
        do {
            let fields = try decoder.decode(Fields.self, from: json)
            let gateways = fields.gateways.compactMap { GatewayAddress($0) }
            guard gateways.count == fields.gateways.count else { throw Self.malformed("gateways") }
            self.init(
                domain: fields.domain,
                gateways: gateways,
                tenant: fields.tenant,
                authorities: fields.authorities,
                code: fields.code
            )
            if let field = invalidField { throw Self.malformed(field) }
        } catch let error as DecodingError {
            throw Self.malformed("", cause: error)
        }
    }

    /// As the provider hands it out.
    ///
    /// - Throws: `invalidArgument` when a field can't be what it says.
    public var text: String {
        get throws {
            if let field = invalidField { throw Self.malformed(field) }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let json = try encoder.encode(
                Fields(
                    version: Self.version,
                    domain: domain,
                    gateways: gateways.map(\.description),
                    tenant: tenant,
                    authorities: authorities,
                    code: code
                )
            )
            return Self.prefix + Base64URL.text(json + Self.checksum(json))
        }
    }

    private var invalidField: String? {
        // The server's name has `control.` in front.
        if !DomainName.isProviders(domain) { return "domain" }
        if gateways.isEmpty || gateways.count > 64 { return "gateways" }
        if tenant.isEmpty || tenant.utf8.count > 255 { return "tenant" }
        if authorities.isEmpty || authorities.count > 16 || authorities.contains(where: \.isEmpty) {
            return "authorities"
        }
        if code.isEmpty || code.utf8.count > 255 { return "code" }
        return nil
    }

    private static func checksum(_ json: Data) -> Data {
        Data(SHA256.hash(data: json).prefix(checksumLength))
    }

    private static func malformed(_ field: String, cause: (any Error)? = nil) -> HawserError {
        HawserError(
            .invalidArgument,
            "The join string is whole, but its content can't be used\(field.isEmpty ? "" : " (\(field))"): ask the provider for "
                + "another.",
            cause: cause
        )
    }

    private struct Head: Decodable {
        var version: Int

        private enum CodingKeys: String, CodingKey { case version = "v" }
    }

    private struct Fields: Codable {
        var version: Int
        var domain: String
        var gateways: [String]
        var tenant: String
        var authorities: [Data]
        var code: String

        private enum CodingKeys: String, CodingKey {
            case version = "v"
            case domain, gateways, tenant, authorities, code
        }
    }
}

/// The code in it is a secret as long as it was not used.
extension JoinString: CustomStringConvertible {
    public var description: String { "join string of \(tenant) at \(domain)" }
}
