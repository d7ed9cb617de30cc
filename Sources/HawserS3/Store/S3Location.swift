/// Which requests reach the folder of a bucket: everything about a request that does not depend on what it does.
struct S3Location: Sendable {
    var endpoint: S3Endpoint
    var region: String
    let bucket: String
    /// Empty, or it ends with a slash.
    let prefix: String
    let addressing: S3Configuration.Addressing

    init(_ configuration: S3Configuration) {
        endpoint = configuration.endpoint
        region = configuration.region
        bucket = configuration.bucket
        prefix = configuration.prefix
        addressing = configuration.addressing
    }

    var host: String {
        switch addressing {
        case .path: endpoint.authority
        case .virtualHost: bucket + "." + endpoint.authority
        }
    }

    /// - Parameter key: below the folder; `nil` for the bucket itself.
    func path(_ key: String?) -> String {
        let root = endpoint.path + (addressing == .path ? "/" + bucket : "")
        return key.map { root + "/" + prefix + $0 } ?? (root.isEmpty ? "/" : root)
    }

    /// - Parameter target: encoded path and query.
    func url(_ target: String) -> String {
        (endpoint.isSecure ? "https://" : "http://") + host + target
    }

    /// An endpoint that a redirection names, as the endpoint of this bucket; `nil` when it can't be one.
    ///
    /// Never one without TLS in place of one with it.
    func endpoint(redirectedTo text: String) -> S3Endpoint? {
        let url = text.contains("://") ? text : (endpoint.isSecure ? "https://" : "http://") + text
        // A Location has path and query of the request; only the host matters.
        let origin = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3)
        guard var found = try? S3Endpoint(parsing: origin.joined(separator: "/")),
            found.isSecure || !endpoint.isSecure
        else { return nil }
        if found.host.hasPrefix(bucket.lowercased() + ".") {
            found.host.removeFirst(bucket.count + 1)
        }
        found.path = endpoint.path
        return found
    }

    /// Where Amazon has another region's buckets.
    func endpoint(inRegion region: String) -> S3Endpoint {
        endpoint.isAmazon ? .amazon(region: region) : endpoint
    }
}
