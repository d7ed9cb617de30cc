/// The one error that Hawser throws: what kind, what to do, where, why, and whether trying again can help.
public struct HawserError: Error, Sendable {
    /// What kind of failure. Open: new codes can come, so always keep a default case.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// Short and stable: used in JSON and as a metrics label.
        public let description: String

        public init(_ description: String) {
            self.description = description
        }

        /// No repository at this place.
        public static let noRepository = Code("no_repository")
        /// A repository is there already.
        public static let repositoryExists = Code("repository_exists")
        /// No key slot opens with this password.
        public static let wrongPassword = Code("wrong_password")
        /// Bytes that are not what they must be: wrong hash, wrong tag, impossible structure.
        public static let damaged = Code("damaged")
        /// The repository needs a newer program.
        public static let unsupported = Code("unsupported")
        /// The object, snapshot or path does not exist.
        public static let notFound = Code("not_found")
        /// The object exists already, with other content.
        public static let conflict = Code("conflict")
        /// A prune is in the way: of this one, or of a backup again and again.
        public static let pruneInTheWay = Code("prune_in_the_way")
        /// Not allowed: permissions, credentials, a read-only place.
        public static let accessDenied = Code("access_denied")
        /// No space left where Hawser writes.
        public static let storageFull = Code("storage_full")
        /// The tenant's quota is used up.
        public static let quotaExceeded = Code("quota_exceeded")
        /// The session with the provider is closed, or has been silent for too long; a new one can be opened.
        public static let sessionOver = Code("session_over")
        /// The storage or the network failed; usually worth a retry.
        public static let unavailable = Code("unavailable")
        /// A system call on the tenant's own files failed.
        public static let fileSystem = Code("file_system")
        /// A file changed while it was read: what is stored may hold parts of two states.
        public static let changed = Code("changed")
        /// A caller's value is out of its range.
        public static let invalidArgument = Code("invalid_argument")
        /// The work was finished, but not for all files.
        public static let incomplete = Code("incomplete")
        /// Something that must never happen did: a defect in Hawser, or failing memory.
        public static let internalError = Code("internal_error")
    }

    public var code: Code
    /// What happened and what to do next, for people.
    public var message: String
    /// The object or path that is concerned.
    public var place: String?
    public var cause: (any Error)?
    /// Whether the same request can succeed later without anybody doing anything.
    public var isRetryable: Bool
    /// How long the other side asks to be left alone before the next attempt.
    public var retryAfter: Duration?

    public init(
        _ code: Code,
        _ message: String,
        place: String? = nil,
        cause: (any Error)? = nil,
        isRetryable: Bool = false,
        retryAfter: Duration? = nil
    ) {
        self.code = code
        self.message = message
        self.place = place
        self.cause = cause
        self.isRetryable = isRetryable
        self.retryAfter = retryAfter
    }
}

extension HawserError: CustomStringConvertible {
    public var description: String {
        var text = place.map { "\($0): \(message)" } ?? message
        if let cause { text += " (\(cause))" }
        return text
    }
}
