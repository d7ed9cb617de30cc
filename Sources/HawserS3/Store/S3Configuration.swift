import HawserFormat

/// What an `S3ObjectStore` has to know about its storage.
public struct S3Configuration: Sendable {
    /// Where the bucket's name stands in a request.
    public enum Addressing: String, Hashable, Sendable, CaseIterable {
        /// `https://endpoint/bucket/key`: what every server but the newest of Amazon's has.
        case path
        /// `https://bucket.endpoint/key`.
        case virtualHost
    }

    public struct Timeouts: Hashable, Sendable {
        /// Until a connection is made, TLS included.
        public var connect: Duration
        /// A request is given up when no byte has moved for so long, in neither direction. However slow a connection
        /// is, it is not cut while it moves.
        public var idle: Duration

        // Ten seconds survive a lost SYN (1, 2 and 4 s) and are what people wait for. A minute is longer than any
        // server that works thinks about one request, and shorter than NAT tables forget connections.
        public init(connect: Duration = .seconds(10), idle: Duration = .seconds(60)) {
            self.connect = connect
            self.idle = idle
        }
    }

    public var endpoint: S3Endpoint
    /// Signed with every request. A storage that wants another says so, and the store learns it.
    public var region: String
    public var bucket: String
    /// The folder in the bucket: empty, or it ends with a slash.
    public let prefix: String
    public var addressing: Addressing
    /// Whether uploads carry `Content-MD5` beside the SHA-256 that is always signed: 1.4 CPU seconds a GB, for storages
    /// that don't check the SHA-256.
    public var sendsContentMD5: Bool
    /// Whether `If-None-Match: *` is honoured. Otherwise the store looks before it puts.
    public var hasConditionalPuts: Bool
    /// How many requests run at one time, each on a connection of its own: 1 or more. The others wait.
    public var connections: Int
    public var timeouts: Timeouts
    /// The path of a file with certificates (PEM) that are trusted as well as the system's.
    public var certificateAuthorities: String?
    /// Certificates (PEM) that are trusted as well, where they come from no file.
    public var trustedCertificates: [UInt8]?
    public var proxy: HTTPProxy?

    /// - Parameter prefix: slashes at its ends don't matter.
    // 16 connections saturate 10 Gbit/s with 16 MiB objects at 100 ms, and cost 16 sockets.
    public init(
        endpoint: S3Endpoint,
        region: String = "us-east-1",
        bucket: String,
        prefix: String = "",
        addressing: Addressing = .path,
        sendsContentMD5: Bool = false,
        hasConditionalPuts: Bool = true,
        connections: Int = 16,
        timeouts: Timeouts = Timeouts(),
        certificateAuthorities: String? = nil,
        trustedCertificates: [UInt8]? = nil,
        proxy: HTTPProxy? = nil
    ) {
        self.endpoint = endpoint
        self.region = region
        self.bucket = bucket
        self.prefix = Self.folder(prefix)
        self.addressing = addressing
        self.sendsContentMD5 = sendsContentMD5
        self.hasConditionalPuts = hasConditionalPuts
        self.connections = connections
        self.timeouts = timeouts
        self.certificateAuthorities = certificateAuthorities
        self.trustedCertificates = trustedCertificates
        self.proxy = proxy
    }

    private static func folder(_ prefix: String) -> String {
        let bytes = Array(prefix.utf8)
        let slash = UInt8(ascii: "/")
        guard let first = bytes.firstIndex(where: { $0 != slash }), let last = bytes.lastIndex(where: { $0 != slash })
        else { return "" }
        return String(decoding: bytes[first...last], as: UTF8.self) + "/"
    }

    /// - Throws: `invalidArgument`, saying what is wrong.
    func validate() throws {
        // Of the rules for names those that make a request another one; the storage knows the rest.
        let isName = bucket.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || ".-_".utf8.contains(byte)
        }
        guard isName, !bucket.isEmpty, bucket.utf8.count <= 255, bucket != ".", bucket != ".." else {
            throw HawserError(
                .invalidArgument,
                "This can't be the name of a bucket: it has letters, digits, dots, dashes and underscores.",
                place: bucket
            )
        }
        // The longest key of the format has 134 bytes, and S3 allows 1,024.
        guard prefix.utf8.count <= 800, !prefix.utf8.contains(0) else {
            throw HawserError(.invalidArgument, "The folder in the bucket may have at most 800 bytes.", place: prefix)
        }
        guard connections > 0, timeouts.connect > .zero, timeouts.idle > .zero else {
            throw HawserError(.invalidArgument, "The number of connections and the time-outs must be above zero.")
        }
    }
}
