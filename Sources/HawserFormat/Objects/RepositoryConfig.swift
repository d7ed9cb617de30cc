/// What a repository is: one generation of `config/<n>`.
///
/// The clear header tells anybody who reads it how to go on (and is authenticated when the object is opened); the sealed
/// part holds the secrets that the repository keeps for life. Immutable: a change writes generation n + 1, which names
/// the SHA-256 of generation n.
public struct RepositoryConfig: Sendable, Equatable {
    /// The part that can be read without keys; not to be trusted before the whole object was opened.
    public struct Header: Sendable, Equatable {
        /// 32 bytes.
        public var repositoryID: [UInt8]
        /// Counted from 1.
        public var generation: UInt32
        /// SHA-256 of generation n - 1; `nil` for generation 1.
        public var previous: ObjectName?
        public var features: FeatureFlags
        /// How files and streams are cut.
        public var fileChunker: ChunkerParameters
        /// How disk images and block devices are cut.
        public var imageChunker: ChunkerParameters
        /// The cipher suites that occur; all are needed for reading.
        public var suites: Set<UInt8>
        /// Fields of later versions, kept.
        var unknownFields = TaggedFields()
    }

    public var header: Header
    public var secrets: RepositorySecrets
    /// The highest key epoch that a rotation has taken for itself, whether it was finished or not. So no two ever give one
    /// epoch two secrets.
    public var takenEpoch: UInt8 = 1
    /// Of what a restore needs; `nil`: none. See ``setLock(_:)``.
    public internal(set) var lock: ObjectLock?
    /// Sealed fields of later versions, kept.
    var unknownSecretFields = TaggedFields()

    /// Generation 1.
    public init(
        repositoryID: [UInt8],
        secrets: RepositorySecrets,
        fileChunker: ChunkerParameters,
        imageChunker: ChunkerParameters
    ) {
        header = Header(
            repositoryID: repositoryID,
            generation: 1,
            previous: nil,
            features: FeatureFlags(),
            fileChunker: fileChunker,
            imageChunker: imageChunker,
            suites: [ObjectHeader.suite1]
        )
        self.secrets = secrets
    }

    /// Whether a feature that this version does not know forbids writing.
    public var isReadOnly: Bool { isReadOnly(known: .known) }

    func isReadOnly(known: FeatureFlags) -> Bool {
        !header.features.write.isSubset(of: known.write)
    }

    /// From now on, what is stored is locked. Who does not know locks may write nothing then, because it would not be.
    public mutating func setLock(_ lock: ObjectLock?) {
        self.lock = lock
        if lock == nil {
            header.features.write.remove(FeatureFlags.objectLock)
        } else {
            header.features.write.insert(FeatureFlags.objectLock)
        }
    }

    /// The next generation, to be changed and written.
    ///
    /// - Parameter object: The bytes of this generation as stored.
    /// - Throws: `unsupported` if the repository is read only for this version of Hawser.
    public func successor(of object: [UInt8]) throws -> RepositoryConfig {
        guard !isReadOnly else {
            throw HawserError(.unsupported, "The repository's configuration needs a newer Hawser to be changed.")
        }
        let (generation, overflow) = header.generation.addingReportingOverflow(1)
        guard !overflow else { throw HawserError(.invalidArgument, "The configuration has too many generations.") }
        var next = self
        next.header.generation = generation
        next.header.previous = ObjectName(hashOf: object)
        return next
    }
}
