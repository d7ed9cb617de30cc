import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Where an S3 storage is reached: scheme, host, port, and the path that some have in front of everything.
public struct S3Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// TLS.
    public var isSecure: Bool
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    public var host: String
    /// `nil`: 443 with TLS, 80 without.
    public var port: Int?
    /// Not encoded; empty, or it begins with a slash and doesn't end with one.
    public var path: String

    public init(host: String, port: Int? = nil, isSecure: Bool = true, path: String = "") {
        self.isSecure = isSecure
        self.host = host
        self.port = port == (isSecure ? 443 : 80) ? nil : port
        self.path = path
    }

    /// The URL of an endpoint, such as `https://s3.example.com:9000`.
    ///
    /// - Throws: `invalidArgument` for anything else: another scheme, user or password, a query.
    public init(parsing text: String) throws {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            ["https", "http"].contains(scheme), let host = parts.encodedHost, !host.isEmpty,
            parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil,
            (1...65_535).contains(parts.port ?? 1)
        else {
            throw HawserError(
                .invalidArgument,
                "This is not the URL of an S3 storage: give it as «https://HOST» or «https://HOST:PORT».",
                place: text
            )
        }
        let path = parts.path.split(separator: "/").map { "/" + $0 }.joined()
        self.init(host: host.lowercased(), port: parts.port, isSecure: scheme == "https", path: path)
    }

    /// Amazon's own in a region, such as `eu-central-1`.
    public static func amazon(region: String) -> S3Endpoint {
        S3Endpoint(host: "s3.\(region).amazonaws.com" + (region.hasPrefix("cn-") ? ".cn" : ""))
    }

    /// Host, and port if it is not the scheme's.
    public var authority: String {
        port.map { "\(host):\($0)" } ?? host
    }

    public var description: String {
        (isSecure ? "https://" : "http://") + authority + path
    }

    var isAmazon: Bool {
        host == "s3.amazonaws.com" || host.hasSuffix(".amazonaws.com") || host.hasSuffix(".amazonaws.com.cn")
    }
}
