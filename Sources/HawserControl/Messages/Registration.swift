#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// `POST /v1/devices`: trades the one-time code of a join string for the registration of a machine's key.
public struct RegistrationRequest: Codable, Sendable {
    /// From the join string; good once.
    public var code: String
    /// Ed25519, raw, 32 bytes.
    public var publicKey: Data
    /// How the provider shows the machine; at most 255 bytes.
    public var name: String

    public init(code: String, publicKey: Data, name: String) {
        self.code = code
        self.publicKey = publicKey
        self.name = name
    }
}

public struct RegistrationAnswer: Codable, Sendable {
    public var device: ControlID
    public var tenant: String
    /// `nil` when the device is the tenant's own.
    public var subtenant: String?

    public init(device: ControlID, tenant: String, subtenant: String?) {
        self.device = device
        self.tenant = tenant
        self.subtenant = subtenant
    }
}

/// `POST /v1/nonces`: what a sign-in has to sign; used once.
public struct NonceAnswer: Codable, Sendable {
    /// 32 bytes.
    public var nonce: Data
    /// Seconds from now.
    public var expiresIn: Int

    public init(nonce: Data, expiresIn: Int) {
        self.nonce = nonce
        self.expiresIn = expiresIn
    }
}

/// `POST /v1/sessions`.
public struct SignInRequest: Codable, Sendable {
    public var device: ControlID
    public var nonce: Data
    /// Of `signedBytes`, by the device's key.
    public var signature: Data
    public var purpose: Purpose
    /// Name and version of the program.
    public var agent: String
    /// Into whose folder a machine of the tenant wants, for `restore`, `check` or `prune`; `nil`: its own.
    public var subtenant: String?

    public init(
        device: ControlID,
        nonce: Data,
        signature: Data,
        purpose: Purpose,
        agent: String,
        subtenant: String? = nil
    ) {
        self.device = device
        self.nonce = nonce
        self.signature = signature
        self.purpose = purpose
        self.agent = agent
        self.subtenant = subtenant
    }

    /// - Parameter domain: Of the provider, so that a signature given to one server is worth nothing at another.
    public static func signedBytes(
        device: ControlID,
        nonce: Data,
        purpose: Purpose,
        domain: String,
        subtenant: String? = nil
    ) -> Data {
        var bytes = Data("hawser sign-in 1".utf8)
        var parts = [Data(device.text.utf8), nonce, Data(purpose.rawValue.utf8), Data(domain.utf8)]
        if let subtenant { parts.append(Data(subtenant.utf8)) }
        for part in parts {
            withUnsafeBytes(of: UInt32(part.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(part)
        }
        return bytes
    }
}
