/// How a relayed connection ended: a label of metrics.
enum RelayEnd: String, Sendable, CaseIterable {
    /// In order, by either end.
    case ended
    case idle
    /// Reset by the client, or its network failed.
    case clientError = "client_error"
    case backendError = "backend_error"
}

/// Why a connection was closed before it was relayed: a label of metrics.
enum HelloRefusal: String, Sendable, CaseIterable {
    /// The first byte is not TLS'.
    case notTLS = "not_tls"
    /// No server name in it, or a ClientHello that can't be read, or one that is split over records.
    case noName = "no_name"
    case unknownName = "unknown_name"
    case tooLarge = "too_large"
    case timeout
    /// The client left before it had said what it wants.
    case ended
    /// No backend could be reached.
    case noBackend = "no_backend"
    /// Out of descriptors or ports: nothing that a backend can be blamed for.
    case noResources = "no_resources"
}

/// Why a connection was closed before a byte of it was read: a label of metrics.
enum AdmissionRefusal: String, Sendable, CaseIterable {
    case total = "total_limit"
    case address = "address_limit"
    case rate = "address_rate"
    case stopping
}
