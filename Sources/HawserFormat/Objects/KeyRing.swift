/// Everything that opens a repository, as a key slot wraps it.
public struct KeyRing: Sendable, Equatable {
    /// One byte of every sealed object's header, and 0 means none.
    public static let epochLimit: UInt8 = 255

    /// 32 random bytes; not secret.
    public let repositoryID: [UInt8]
    /// Seals `config` objects.
    public let configKey: Secret
    /// The secret of each key epoch, never derived from one another: who learns one learns no other.
    public private(set) var epochs: [UInt8: Secret]
    /// What new objects are sealed under; the newest.
    public private(set) var currentEpoch: UInt8

    init(repositoryID: [UInt8], configKey: Secret, epochs: [UInt8: Secret], currentEpoch: UInt8) {
        self.repositoryID = repositoryID
        self.configKey = configKey
        self.epochs = epochs
        self.currentEpoch = currentEpoch
    }

    /// The keys of a new repository: all random, one epoch.
    public static func random() -> KeyRing {
        KeyRing(repositoryID: Secret.random().bytes, configKey: .random(), epochs: [1: .random()], currentEpoch: 1)
    }

    /// Adds an epoch with a random secret and makes it the current one.
    ///
    /// - Parameter taken: a number that is not free, nor are those below it.
    /// - Throws: `invalidArgument` when there are 255 epochs.
    public mutating func addEpoch(above taken: UInt8 = 0) throws {
        let last = max(currentEpoch, taken)
        guard last < Self.epochLimit else {
            throw HawserError(
                .invalidArgument,
                "The repository has \(Self.epochLimit) key epochs, and more don't fit: copy it to a new one."
            )
        }
        currentEpoch = last + 1
        epochs[currentEpoch] = .random()
    }

    /// Takes over the epochs of another ring of the repository; the newest of both is the current one.
    ///
    /// - Throws: `damaged` when the two have different secrets for one epoch.
    public mutating func merge(_ other: KeyRing) throws {
        for (epoch, secret) in other.epochs where epochs.updateValue(secret, forKey: epoch) ?? secret != secret {
            throw HawserError(.damaged, "Two keys of the repository have different secrets for key epoch \(epoch).")
        }
        currentEpoch = max(currentEpoch, other.currentEpoch)
    }

    /// The epochs' secrets as bytes, for the sealers.
    public var epochSecrets: [UInt8: [UInt8]] { epochs.mapValues(\.bytes) }

    /// Seals and opens this repository's objects.
    public var objectSealer: ObjectSealer {
        ObjectSealer(repositoryID: repositoryID, epochs: epochSecrets, currentEpoch: currentEpoch)
    }
}
