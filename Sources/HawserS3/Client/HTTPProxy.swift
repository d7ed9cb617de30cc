public import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An HTTP proxy that connections go through (`CONNECT`), with and without TLS behind it.
public struct HTTPProxy: Hashable, Sendable {
    public var host: String
    public var port: Int
    public var user: String?
    public var password: Secret?

    public init(host: String, port: Int, user: String? = nil, password: Secret? = nil) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
    }

    public static func == (left: HTTPProxy, right: HTTPProxy) -> Bool {
        (left.host, left.port, left.user) == (right.host, right.port, right.user) && left.password == right.password
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(host)
        hasher.combine(port)
        hasher.combine(user)
    }

    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say for an endpoint, in small letters or else in
    /// capitals. `nil`: no proxy.
    ///
    /// - Throws: `invalidArgument` for a proxy that is no `http://` URL.
    public static func fromEnvironment(
        _ environment: [String: String],
        for endpoint: S3Endpoint
    ) throws -> HTTPProxy? {
        func value(_ name: String) -> String? { environment[name] ?? environment[name.uppercased()] }
        guard let text = value(endpoint.isSecure ? "https_proxy" : "http_proxy") ?? value("all_proxy"),
            !text.isEmpty, !excludes(value("no_proxy") ?? "", endpoint)
        else { return nil }
        return try HTTPProxy(parsing: text)
    }

    /// - Parameter text: `http://[USER:PASSWORD@]HOST[:PORT]`; the scheme may be missing.
    public init(parsing text: String) throws {
        let url = text.contains("://") ? text : "http://" + text
        guard let parts = URLComponents(string: url), parts.scheme?.lowercased() == "http",
            let host = parts.encodedHost, !host.isEmpty, (1...65_535).contains(parts.port ?? 1)
        else {
            throw HawserError(
                .invalidArgument,
                "The proxy of the environment can't be used: give it as «http://HOST:PORT», or unset it."
            )
        }
        // 1080 is what curl takes where no port is given.
        self.init(
            host: host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host,
            port: parts.port ?? 1080,
            user: parts.user,
            password: parts.password.map { Secret(Array($0.utf8)) }
        )
    }

    /// Whether a `no_proxy` list has the endpoint: `*`, a host, a domain (with or without a dot in front) and what is
    /// below it, each with a port or without.
    static func excludes(_ list: String, _ endpoint: S3Endpoint) -> Bool {
        let host = endpoint.host
        let port = String(endpoint.port ?? (endpoint.isSecure ? 443 : 80))
        return list.split(whereSeparator: { $0 == "," || $0 == " " }).contains { entry in
            if entry == "*" { return true }
            var name = entry.lowercased()
            if !name.hasSuffix("]"), let colon = name.lastIndex(of: ":"),
                name.firstIndex(of: ":") == colon || name.hasPrefix("[")
            {
                guard name[name.index(after: colon)...] == port else { return false }
                name = String(name[..<colon])
            }
            while name.hasPrefix(".") { name.removeFirst() }
            guard !name.isEmpty else { return false }
            return host == name || host == "[\(name)]" || host.hasSuffix("." + name)
        }
    }
}
