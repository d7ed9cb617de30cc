public import HawserFormat
import HawserStorage

/// Signs single requests to the objects of a folder for somebody who has no credentials (``S3Ticket``).
///
/// Every header that is sent is signed: on several servers an unsigned `x-amz-copy-source` turned a presigned PUT into a
/// copy by the signer (CVE-2026-54330), and unsigned ACL headers would publish the object.
public struct S3Presigner: Sendable {
    private let location: S3Location
    /// Amazon refuses unsigned `x-amz-*` headers, and where owners are enforced also signed ACLs.
    private let signsACL: Bool

    /// - Parameter configuration: as the holder of the tickets reaches the storage.
    public init(_ configuration: S3Configuration) {
        location = S3Location(configuration)
        signsACL = !configuration.endpoint.isAmazon
    }

    /// To create exactly this object.
    ///
    /// - Parameters:
    ///   - key: below the folder.
    ///   - length: bytes.
    ///   - seconds: 1...604,800; temporary credentials end it earlier.
    ///   - date: from when; `nil`: from now.
    public func put(
        _ key: String,
        length: Int,
        sha256: ObjectName,
        seconds: Int,
        with credentials: S3Credentials,
        at date: Timestamp? = nil
    ) -> S3Ticket {
        var request = SigV4Request(method: "PUT", host: location.host, path: location.path(key))
        request.headers = [
            ("content-length", String(length)), ("content-type", "application/octet-stream"), ("if-none-match", "*"),
        ]
        if signsACL { request.headers.append(("x-amz-acl", "private")) }
        request.payload = .sha256(sha256)
        return ticket(request, seconds, credentials, date ?? .now)
    }

    /// To read this object, or a range of it.
    public func get(
        _ key: String,
        seconds: Int,
        with credentials: S3Credentials,
        at date: Timestamp? = nil
    ) -> S3Ticket {
        let request = SigV4Request(method: "GET", host: location.host, path: location.path(key), payload: .unsigned)
        return ticket(request, seconds, credentials, date ?? .now)
    }

    private func ticket(
        _ request: SigV4Request,
        _ seconds: Int,
        _ credentials: S3Credentials,
        _ date: Timestamp
    ) -> S3Ticket {
        var request = request
        SigV4Signer(region: location.region).presign(&request, expiresIn: seconds, with: credentials, at: date)
        return S3Ticket(url: location.url(request.target), headers: request.headers)
    }
}
