public import HawserFormat

extension S3TestServer {
    public struct Configuration: Sendable {
        /// Somebody with a permanent key.
        public struct User: Sendable {
            public var accessKeyID: String
            public var secretAccessKey: String
            /// What the user, and every session of theirs, may do; `nil`: everything.
            public var policy: AccessPolicy?

            public init(accessKeyID: String, secretAccessKey: String, policy: AccessPolicy? = nil) {
                self.accessKeyID = accessKeyID
                self.secretAccessKey = secretAccessKey
                self.policy = policy
            }

            /// A key for tests; nothing secret about it.
            public static let test = User(accessKeyID: "AKTEST", secretAccessKey: "hawser/test+secret")
        }

        public struct Bucket: Sendable, ExpressibleByStringLiteral {
            public var name: String
            /// Objects may be locked, as they can be only in buckets that were made for it.
            public var hasObjectLock: Bool
            /// Old versions are kept, and DELETE leaves a marker.
            public var hasVersions: Bool

            public init(_ name: String, hasObjectLock: Bool = false, hasVersions: Bool = false) {
                self.name = name
                self.hasVersions = hasVersions
                self.hasObjectLock = hasObjectLock
            }

            public init(stringLiteral name: String) {
                self.init(name)
            }
        }

        /// A role that AssumeRole gives.
        public struct Role: Sendable {
            public var arn: String
            /// What sessions of the role may do; `nil`: what the user who assumes it may.
            public var policy: AccessPolicy?

            public init(arn: String, policy: AccessPolicy? = nil) {
                self.arn = arn
                self.policy = policy
            }
        }

        public enum Storage: Hashable, Sendable {
            case memory
            /// A folder, made if it is missing. Objects are files there, written beside their place and renamed. What an
            /// earlier server left is served again. Nothing is synced to the medium: it is for tests.
            case folder(String)
        }

        public enum Security: Hashable, Sendable {
            case none
            /// TLS with a certificate that the server makes for itself: `S3TestServer.certificate` is what clients must
            /// trust.
            case selfSigned
            /// TLS with the certificates and the key of these PEM texts.
            case pem(certificates: String, key: String)
        }

        public var users: [User] = [.test]
        public var buckets: [Bucket] = ["hawser"]
        /// `nil`: AssumeRole takes any role.
        public var roles: [Role]?
        /// The tokens that AssumeRoleWithWebIdentity takes.
        public var webIdentityTokens: Set<String> = []
        /// The shortest session that may be asked for.
        public var minimumSessionDuration = Duration.seconds(900)
        public var maximumSessionDuration = Duration.seconds(43_200)
        /// Longer ones end so soon, and only their answer says it, as with some storages.
        public var grantedSessionDuration: Duration?
        public var storage = Storage.memory
        /// Bytes that all objects together may have.
        public var quota: Int?
        public var behaviour = ServerBehaviour.aws
        /// Of its buckets, and what signatures must name when `behaviour.requiresRegion`.
        public var region = "us-east-1"
        /// Requests to `BUCKET.` before this domain are for that bucket.
        public var domain = "localhost"
        /// Spent before each request.
        public var delay = Duration.zero
        /// 0: the system chooses.
        public var port = 0
        public var security = Security.none
        /// The server's clock.
        public var now: @Sendable () -> Timestamp = { .system }
        /// How many requests the log keeps, the latest ones.
        public var logLimit = 10_000

        public init() {}
    }
}

extension S3TestServer.Configuration.User {
    /// What is not given is made by chance.
    public static func generated(accessKeyID: String? = nil, secretAccessKey: String? = nil) -> Self {
        Self(
            accessKeyID: accessKeyID ?? "AK" + Accounts.randomText(18),
            secretAccessKey: secretAccessKey ?? Accounts.randomText(40)
        )
    }
}
