public import HawserFormat
public import HawserStorage

/// One thing that goes wrong: at which requests, and how.
public struct Fault: Sendable {
    /// Which requests are concerned by their key.
    public enum Keys: Sendable {
        case all
        case kind(ObjectKind)
        case exactly(ObjectKey)
        /// Keys (or, of a list, the prefix asked for) that begin with this.
        case prefix(String)

        func contains(_ path: String) -> Bool {
            switch self {
            case .all: true
            case .kind(let kind): path.hasPrefix(kind.prefix)
            case .exactly(let key): path == key.path
            case .prefix(let prefix): path.hasPrefix(prefix)
            }
        }
    }

    /// Which of the requests that match, counted from 1.
    public enum Occurrence: Sendable {
        case only(Int)
        case first(Int)
        case from(Int)
        /// About this share of them (0...1), by chance; the same ones for the same seed.
        case share(Double, seed: UInt64)

        public static let every = from(1)

        /// - Parameter number: from 1.
        public func contains(_ number: Int) -> Bool {
            switch self {
            case .only(let wanted): return number == wanted
            case .first(let count): return number <= count
            case .from(let first): return number >= first
            case .share(let share, let seed):
                // Two steps, because the first number of neighbouring seeds would be that of neighbouring numbers.
                var first = SplitMix64(seed: seed)
                var second = SplitMix64(seed: first.next() &+ UInt64(truncatingIfNeeded: number))
                return second.nextUnit() < share
            }
        }
    }

    public enum Effect: Sendable {
        /// The request is not made.
        case failBefore(HawserError)
        /// The request is made and its answer lost.
        case failAfter(HawserError)
        /// The request is made when the gate opens.
        case hold(Gate)
        /// The request is made, and its answer comes when the gate opens.
        case holdAnswer(Gate)
        /// `get` gives only the first bytes.
        case truncate(Int)
        /// `get` gives bytes with one bit changed.
        case flip(bit: Int)
        /// `get` gives other bytes.
        case body([UInt8])
        /// `put` stores only the first bytes and succeeds.
        case storeTruncated(Int)
        /// `list` does not show the objects that were put last.
        case hideNewest(Int)
        /// `put` fails with `storageFull` when all bytes put through this store would exceed this.
        case full(afterBytes: Int)
    }

    public var name: String
    public var operation: StoreOperation
    public var keys: Keys
    public var occurrence: Occurrence
    public var effect: Effect

    /// - Parameter name: for `FaultyStore.fired`; made from the other values when it is `nil`.
    public init(
        _ effect: Effect,
        on operation: StoreOperation,
        keys: Keys = .all,
        occurrence: Occurrence = .only(1),
        name: String? = nil
    ) {
        self.name = name ?? "\(operation.rawValue) \(keys) \(occurrence): \(effect)"
        self.operation = operation
        self.keys = keys
        self.occurrence = occurrence
        self.effect = effect
    }
}

extension HawserError {
    /// An error as a storage or network gives it in passing.
    public static func transient(_ message: String = "The storage failed, as the test asked.") -> HawserError {
        HawserError(.unavailable, message, isRetryable: true)
    }

    public static func permanent(
        _ code: Code = .accessDenied,
        _ message: String = "The storage refused, as the test asked."
    ) -> HawserError {
        HawserError(code, message)
    }
}
