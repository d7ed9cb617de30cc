import HawserFormat

/// Where a repository lies in S3 storage, as users write it: endpoint, bucket, and folder in the bucket.
///
/// | text | endpoint |
/// | --- | --- |
/// | `s3:https://HOST[:PORT]/BUCKET[/FOLDER]` | that one; `http` for one without TLS |
/// | `s3:HOST[:PORT]/BUCKET[/FOLDER]` | with TLS; a host has a dot or a port |
/// | `s3:BUCKET[/FOLDER]` | of the environment or the profile, else Amazon's |
public struct S3URL: Hashable, Sendable, CustomStringConvertible {
    /// `nil` when it is not part of the text.
    public var endpoint: S3Endpoint?
    public var bucket: String
    /// Without slashes at its ends; empty for the whole bucket.
    public var folder: String

    public static let scheme = "s3:"

    public init(endpoint: S3Endpoint? = nil, bucket: String, folder: String = "") {
        self.endpoint = endpoint
        self.bucket = bucket
        self.folder = folder
    }

    /// - Throws: `invalidArgument`, with an example of what is right.
    public init(parsing text: String) throws {
        guard text.hasPrefix(Self.scheme) else { throw Self.unusable("it does not begin with «s3:»", text) }
        let rest = text.dropFirst(Self.scheme.count)
        // Most tools write s3://bucket, some s3://host/bucket: taking one for the other would look in a wrong place.
        guard !rest.hasPrefix("//") else {
            throw Self.unusable("write «s3:bucket/folder» or «s3:https://host/bucket/folder» instead of «s3://»", text)
        }
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw Self.unusable("it has control characters", text)
        }
        let path: Substring
        if let scheme = ["https://", "http://"].first(where: { rest.lowercased().hasPrefix($0) }) {
            let authority = rest.dropFirst(scheme.count).prefix { $0 != "/" }
            endpoint = try Self.endpoint(scheme + authority, text)
            path = rest.dropFirst(scheme.count + authority.count)
        } else {
            let first = rest.prefix { $0 != "/" }
            if first.contains(".") || first.contains(":") {
                endpoint = try Self.endpoint("https://" + first, text)
                path = rest.dropFirst(first.count)
            } else {
                endpoint = nil
                path = rest
            }
        }
        // A slash at the end is how people write folders; one in the middle would be a name without a letter.
        let parts = path.drop { $0 == "/" }.split(separator: "/", omittingEmptySubsequences: false)
            .reversed().drop(while: \.isEmpty).reversed().map(String.init)
        guard let bucket = parts.first, !bucket.isEmpty else { throw Self.unusable("the bucket is missing", text) }
        // Proxies and some servers would take such names as a way through folders.
        guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
            throw Self.unusable("a part of the folder is empty, «.» or «..»", text)
        }
        self.bucket = bucket
        folder = parts.dropFirst().joined(separator: "/")
    }

    private static func endpoint(_ url: String, _ text: String) throws -> S3Endpoint {
        // Else they would be in listings of processes and in logs.
        guard !url.contains("@") else { throw unusable("keys don't belong into it: see docs/storage.md", text) }
        guard !url.contains("?"), !url.contains("#"), let endpoint = try? S3Endpoint(parsing: url) else {
            throw unusable("«\(url)» is not the address of a server", text)
        }
        return endpoint
    }

    private static func unusable(_ reason: String, _ text: String) -> HawserError {
        HawserError(
            .invalidArgument,
            "This is not the location of a repository: \(reason). An example: s3:https://s3.example.com/bucket/folder",
            // What stands before an @ may be a secret.
            place: text.contains("@") ? nil : text
        )
    }

    public var description: String {
        Self.scheme + (endpoint.map { "\($0)/" } ?? "") + bucket + (folder.isEmpty ? "" : "/" + folder)
    }
}
