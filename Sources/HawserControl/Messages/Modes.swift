/// What a session, a grant or credentials are for; it decides what they allow (`docs/control-protocol.md`, 6).
public enum Purpose: String, Codable, Sendable, CaseIterable {
    /// Read and create.
    case backup
    /// Read only; given over quota and after the end of the lease too.
    case restore
    /// Read only.
    case check
    /// Read and create; deletions are requests to the provider. Given over quota too.
    case prune
    /// Everything in the tenant's own folder, for other programs; refused with insider protection.
    case full

    public var isReadOnly: Bool { self == .restore || self == .check }
}

/// Which way the data goes.
public enum ConnectionMode: String, Codable, Sendable, CaseIterable {
    /// From the tenant's machine to the storage.
    case direct
    /// Through the cloud gateway and a gateway server.
    case gateway
}

public enum StorageKind: String, Codable, Sendable, CaseIterable {
    case amazon, google, azure
    /// S3-compatible: goes direct only once the provider has chosen access permissions.
    case compatible
}

/// What leaves the provider, so that tenants reach an S3-compatible storage.
public enum AccessPermissions: String, Codable, Sendable, CaseIterable {
    /// Nothing: data takes the gateway, whatever the mode says. The default.
    case provider
    /// Temporary credentials, fenced to the tenant's folder.
    case sts
    /// The storage's own key.
    case shared
    /// Presigned requests: key, length and content are fixed by the provider's signature.
    case tickets
}
