import HawserFormat

/// The JSON in which credentials come from metadata services, containers' endpoints and programs.
enum CredentialsDocument {
    /// - Parameter token: what the session token's field is called.
    /// - Throws: `accessDenied` when it holds no credentials.
    static func decode(_ bytes: [UInt8], token: String, from place: String) throws -> S3Credentials {
        guard let fields = try? JSONValue(parsing: bytes).object, let id = fields["AccessKeyId"]?.string,
            let secret = fields["SecretAccessKey"]?.string, !id.isEmpty, !secret.isEmpty
        else {
            throw HawserError(.accessDenied, "What came is no credentials.", place: place)
        }
        var expiration: Timestamp?
        if let text = fields["Expiration"]?.string {
            expiration = Timestamp(iso8601: text)
            guard expiration != nil else {
                throw HawserError(.accessDenied, "Credentials came with a time of expiry that is none.", place: place)
            }
        }
        return S3Credentials(
            accessKeyID: id,
            secretAccessKey: Secret(Array(secret.utf8)),
            sessionToken: fields[token]?.string.map { Secret(Array($0.utf8)) },
            expiration: expiration
        )
    }
}

extension Timestamp {
    /// `2026-01-31T23:59:59Z`, with or without a fraction, with `Z` or a zone such as `+00:00`.
    init?(iso8601 text: String) {
        guard !text.hasSuffix("Z") else {
            self.init(amazonText: text)
            return
        }
        let zone = text.suffix(6)
        guard let time = Timestamp(amazonText: text.dropLast(6) + "Z"), let offset = Self.offset(Array(zone.utf8))
        else {
            return nil
        }
        self.init(seconds: time.seconds - offset, nanoseconds: time.nanoseconds)
    }

    /// Seconds east of UTC of `+01:00`.
    private static func offset(_ zone: [UInt8]) -> Int64? {
        let shape = zone.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) ? UInt8(ascii: "0") : $0 }
        guard shape.dropFirst().elementsEqual("00:00".utf8), let sign = zone.first else { return nil }
        let digits = [zone[1], zone[2], zone[4], zone[5]].map { Int64($0 - UInt8(ascii: "0")) }
        let seconds = (digits[0] * 10 + digits[1]) * 3600 + (digits[2] * 10 + digits[3]) * 60
        switch sign {
        case UInt8(ascii: "+"): return seconds
        case UInt8(ascii: "-"): return -seconds
        default: return nil
        }
    }
}
