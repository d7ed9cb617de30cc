/// What a storage can do, found out by doing it. Advice, not a promise: a storage can be changed, and probed again.
public struct StorageProfile: Hashable, Sendable {
    /// The raw value is the name in the repository's configuration (docs/format.md, Features) and in JSON.
    public enum Trait: String, CaseIterable, Sendable {
        /// `If-None-Match: *` keeps what is there.
        case conditionalPut = "conditional-put"
        /// Of two that race with it one wins.
        case atomicConditionalPut = "atomic-conditional-put"
        /// A body that is not the one whose SHA-256 is signed is refused.
        case checksSHA256 = "checks-sha256"
        /// A body that is not the one of its `Content-MD5` is refused.
        case checksMD5 = "checks-md5"
        /// A part of an object can be had.
        case rangedGet = "ranged-get"
        /// A list shows what was stored right before.
        case freshLists = "fresh-lists"
        /// One request deletes many objects.
        case multiDelete = "multi-delete"
        /// The bucket keeps versions of objects.
        case versioning = "versioning"
        /// Objects can be locked against deletion.
        case objectLock = "object-lock"
        /// It makes temporary credentials.
        case sts = "sts"
    }

    /// What is missing could not be found out, for want of rights for instance, or was not asked.
    public var traits: [Trait: Bool] = [:]
    /// By how much this machine's clock is ahead of the storage's, to the second.
    public var clockAhead: Duration?
    /// That the bucket is in, as far as the storage says.
    public var region: String?
    /// Where the probe's objects are left, when the keys may not delete them.
    public var leftovers: String?

    public init() {}

    /// Whether uploads should carry `Content-MD5`: the SHA-256 is not checked, and that is.
    public var needsContentMD5: Bool { traits[.checksSHA256] == false && traits[.checksMD5] != false }

    /// Whether `If-None-Match` is relied on: unless the storage was seen to pass over it.
    public var hasConditionalPuts: Bool { traits[.conditionalPut] != false }

    // MARK: In the repository's configuration

    /// What the names of these features begin with.
    public static let featurePrefix = "storage."
    private static let missing = "no-"

    /// One name for each trait that is known, such as `storage.versioning` or `storage.no-versioning`.
    public var features: Set<String> {
        Set(traits.map { Self.featurePrefix + ($0.value ? "" : Self.missing) + $0.key.rawValue })
    }

    /// What a configuration's features say; `nil` when the storage was never probed. Names of later versions are passed
    /// over.
    public init?(features: Set<String>) {
        for trait in Trait.allCases {
            if features.contains(Self.featurePrefix + trait.rawValue) { traits[trait] = true }
            if features.contains(Self.featurePrefix + Self.missing + trait.rawValue) { traits[trait] = false }
        }
        if traits.isEmpty { return nil }
    }
}

extension StorageProfile.Trait {
    /// What can't be done, or is done in its place, where the storage lacks it.
    public var consequence: String {
        switch self {
        case .conditionalPut: "each upload is preceded by a look whether the object is there"
        case .atomicConditionalPut: "two that create a repository at the same time may see it only afterwards"
        case .checksSHA256: "uploads carry Content-MD5, which costs 1.4 CPU seconds a GB"
        case .checksMD5: "with no SHA-256 checked either, only «hawser check» finds damage of the way"
        case .rangedGet: "restores read whole packs"
        case .freshLists: "a backup that begins right after another may store data twice; prune must wait"
        case .multiDelete: "objects are deleted one by one"
        case .versioning: "what somebody deletes or overwrites with your keys is gone"
        case .objectLock: "nothing can be locked against deletion"
        case .sts: "a provider can't hand out temporary credentials of this storage"
        }
    }
}
