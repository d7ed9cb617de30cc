internal import Crypto
internal import CryptoExtras

/// The cost of deriving a key from a password with scrypt (RFC 7914).
public struct ScryptParameters: Hashable, Sendable {
    /// N: a power of two; memory is 128 x N x r bytes.
    public var cost: Int
    /// r.
    public var blockSize: Int
    /// p.
    public var parallelism: Int

    /// N = 2^16, r = 8, p = 1: about 0.3 s and 64 MiB, which is free again before a pipeline starts.
    public static let standard = ScryptParameters(cost: 1 << 16, blockSize: 8, parallelism: 1)

    // Bounds on what a slot, which anybody at the storage could have made, may ask for.
    /// 1 GiB with r = 8.
    static let costLimit = 1 << 20
    /// scrypt needs at least 2.
    static let costMinimum = 2
    /// The one that all common parameter sets use.
    static let onlyBlockSize = 8
    /// Multiplies the time, not the memory.
    static let parallelismLimit = 4

    public init(cost: Int, blockSize: Int, parallelism: Int) {
        self.cost = cost
        self.blockSize = blockSize
        self.parallelism = parallelism
    }

    /// - Throws: `unsupported` if N is above 2^20 or no power of two, r is not 8, or p is not 1...4.
    public func validate() throws {
        guard
            (Self.costMinimum...Self.costLimit).contains(cost), cost.nonzeroBitCount == 1,
            blockSize == Self.onlyBlockSize, (1...Self.parallelismLimit).contains(parallelism)
        else {
            throw HawserError(
                .unsupported,
                "The key slot asks for scrypt with N \(cost), r \(blockSize), p \(parallelism), which is refused."
            )
        }
    }

    /// 32 bytes. Blocks the thread for as long as it takes.
    func deriveKey(password: Secret, salt: [UInt8]) throws -> SymmetricKey {
        try validate()
        do {
            return try KDF.Scrypt.deriveKey(
                from: password.bytes,
                salt: salt,
                outputByteCount: 32,
                rounds: cost,
                blockSize: blockSize,
                parallelism: parallelism
            )
        } catch {
            throw HawserError(
                .internalError,
                "The key could not be derived from the password: is there enough memory?",
                cause: error
            )
        }
    }
}
