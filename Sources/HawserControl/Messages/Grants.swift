#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// `POST /v1/repositories/{id}/grants`: asks for the way to a repository.
public struct GrantRequest: Codable, Sendable {
    public var purpose: Purpose
    /// X25519, raw: of the tenant's credential vault, to which credentials are sealed (HPKE).
    public var vaultKey: Data?
    /// The way that just failed, when the tenant asks for the other one.
    public var avoid: ConnectionMode?
    /// Whether the credentials will leave the vault for another program: the provider can refuse that, and logs it.
    public var export: Bool?

    public init(purpose: Purpose, vaultKey: Data? = nil, avoid: ConnectionMode? = nil, export: Bool? = nil) {
        self.purpose = purpose
        self.vaultKey = vaultKey
        self.avoid = avoid
        self.export = export
    }
}

public struct Grant: Codable, Sendable {
    public enum Fallback: String, Codable, Sendable, CaseIterable {
        case never, gateway
    }

    public struct Storage: Codable, Sendable {
        public var kind: StorageKind
        /// As tenants see it.
        public var endpoint: String
        public var region: String
        public var usesPathStyle: Bool
        public var bucket: String
        /// Certificate (PEM) of a private authority of the storage.
        public var authority: String?

        public init(
            kind: StorageKind,
            endpoint: String,
            region: String,
            usesPathStyle: Bool,
            bucket: String,
            authority: String?
        ) {
            self.kind = kind
            self.endpoint = endpoint
            self.region = region
            self.usesPathStyle = usesPathStyle
            self.bucket = bucket
            self.authority = authority
        }
    }

    public var mode: ConnectionMode
    /// Why this mode, for people.
    public var reason: String
    /// Whether the tenant may change to the gateway by itself.
    public var fallback: Fallback
    /// Where everything of the tenant lies, ends with `/`.
    public var folder: String
    public var quota: QuotaState
    /// In direct mode.
    public var access: AccessPermissions?
    public var storage: Storage?
    /// With `tickets` they are for reading only, and may be missing: then reading needs tickets too, and the provider lists.
    public var credentials: SealedCredentials?
    /// The credentials are for another program, and the provider has logged that. A server that does not know of exports
    /// does not say so; then they must not leave the vault.
    public var exported: Bool?
    /// In gateway mode: the server name of the gateway server.
    public var gatewayServer: String?
    /// What the gateway server takes (``GatewayAPI``), for as long as the session lives and it serves it; when it answers
    /// `not_signed_in`, another grant is to be asked for.
    public var gatewayToken: String?

    public init(
        mode: ConnectionMode,
        reason: String,
        fallback: Fallback,
        folder: String,
        quota: QuotaState,
        access: AccessPermissions? = nil,
        storage: Storage? = nil,
        credentials: SealedCredentials? = nil,
        exported: Bool? = nil,
        gatewayServer: String? = nil,
        gatewayToken: String? = nil
    ) {
        self.mode = mode
        self.reason = reason
        self.fallback = fallback
        self.folder = folder
        self.quota = quota
        self.access = access
        self.storage = storage
        self.credentials = credentials
        self.exported = exported
        self.gatewayServer = gatewayServer
        self.gatewayToken = gatewayToken
    }
}

/// Credentials of the storage, sealed with HPKE (X25519, HKDF-SHA-256, AES-256-GCM) to the key of a vault; the info is
/// the session's id.
public struct SealedCredentials: Codable, Sendable {
    public var generation: Int
    public var encapsulatedKey: Data
    public var ciphertext: Data
    /// Seconds from when they were asked for; `nil`: without an end.
    public var expiresIn: Int?

    public init(generation: Int, encapsulatedKey: Data, ciphertext: Data, expiresIn: Int?) {
        self.generation = generation
        self.encapsulatedKey = encapsulatedKey
        self.ciphertext = ciphertext
        self.expiresIn = expiresIn
    }
}
