#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The variables that AWS' tools share. One that is empty counts as not set, as it does with them.
public struct AWSEnvironment: Sendable {
    private let lookup: @Sendable (String) -> String?

    public init(_ lookup: @escaping @Sendable (String) -> String?) {
        self.lookup = lookup
    }

    public init(_ variables: [String: String]) {
        self.init { variables[$0] }
    }

    /// Of this process.
    public static let process = AWSEnvironment { name in getenv(name).map { String(cString: $0) } }

    public subscript(name: String) -> String? {
        guard let value = lookup(name), !value.isEmpty else { return nil }
        return value
    }

    /// Whether a switch is on, which is written `true`.
    func isOn(_ name: String) -> Bool { self[name]?.lowercased() == "true" }
}
