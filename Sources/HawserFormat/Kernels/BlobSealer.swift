internal import Crypto

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Seals packed chunks into blobs, `nonce 12 | ciphertext | tag 16`, and opens them again.
///
/// AES-256-GCM under a key of its own for every chunk id. The associated data binds repository, type, id and plain length,
/// but neither pack, offset nor epoch: a sealed blob can move between packs without being opened.
public struct BlobSealer: Sendable {
    /// What sealing adds to the packed bytes: nonce and tag.
    public static let overhead = nonceLength + tagLength

    // 96 random bits: the nonce length that GCM is specified for without further hashing.
    static let nonceLength = 12
    static let tagLength = 16
    /// AES-256-GCM, HMAC-SHA-256, HKDF-SHA-256.
    static let suite: UInt8 = 1
    private static let keyLabel = Array("hawser1 blob".utf8)
    private static let context = Array("hawser1".utf8)

    private let repositoryID: [UInt8]
    private let expanders: [UInt8: KeyExpander]
    /// The epoch that new blobs are sealed under.
    public let currentEpoch: UInt8

    /// - Parameters:
    ///   - repositoryID: 32 bytes.
    ///   - epochs: The secret of each epoch, 32 random bytes.
    ///   - currentEpoch: One of `epochs`, for sealing.
    public init(repositoryID: [UInt8], epochs: [UInt8: [UInt8]], currentEpoch: UInt8) {
        self.repositoryID = repositoryID
        expanders = epochs.mapValues { KeyExpander(EpochKeys(secret: $0).blob) }
        self.currentEpoch = currentEpoch
    }

    /// Appends the sealed blob to `output`, under the current epoch.
    ///
    /// - Parameters:
    ///   - packed: The chunk as `Compressor` packed it.
    ///   - plainLength: The length of the chunk itself, bytes.
    /// - Throws: `invalidArgument` without the current epoch's secret, `internalError` if the cipher fails.
    public func seal(
        _ packed: UnsafeRawBufferPointer,
        id: ChunkID,
        type: ChunkType,
        plainLength: Int,
        into output: inout [UInt8]
    ) throws {
        try seal(packed, id: id, type: type, plainLength: plainLength, nonce: AES.GCM.Nonce(), into: &output)
    }

    /// The same with a known nonce: for golden vectors only, because a nonce must never repeat.
    func seal(
        _ packed: UnsafeRawBufferPointer,
        id: ChunkID,
        type: ChunkType,
        plainLength: Int,
        nonce: AES.GCM.Nonce,
        into output: inout [UInt8]
    ) throws {
        guard let key = key(of: id, type: type, epoch: currentEpoch) else {
            throw HawserError(.invalidArgument, "The secret of the current key epoch \(currentEpoch) is missing.")
        }
        let associated = associatedData(id: id, type: type, plainLength: plainLength)
        do {
            let box = try AES.GCM.seal(packed, using: key, nonce: nonce, authenticating: associated)
            guard let combined = box.combined else { throw HawserError(.internalError, "The nonce is not 12 bytes.") }
            combined.withUnsafeBytes { output.append(contentsOf: $0) }
        } catch {
            throw HawserError(.internalError, "A blob could not be encrypted.", place: id.hex, cause: error)
        }
    }

    /// Gives `body` the packed bytes of a sealed blob; they are only there while it runs.
    ///
    /// - Throws: `damaged` if the bytes are not what was sealed for this repository, type, id and length under this epoch;
    ///   `accessDenied` if the epoch's secret is not among the keys; what `body` throws.
    public func open<Result>(
        _ sealed: UnsafeRawBufferPointer,
        id: ChunkID,
        type: ChunkType,
        epoch: UInt8,
        plainLength: Int,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard sealed.count >= Self.overhead else {
            throw HawserError(.damaged, "A blob is shorter than its nonce and tag.", place: id.hex)
        }
        guard let key = key(of: id, type: type, epoch: epoch) else {
            throw HawserError(
                .accessDenied,
                "A blob needs the keys of epoch \(epoch), which are missing.",
                place: id.hex
            )
        }
        let associated = associatedData(id: id, type: type, plainLength: plainLength)
        let packed: Data
        do {
            packed = try AES.GCM.open(.init(combined: sealed), using: key, authenticating: associated)
        } catch {
            throw HawserError(.damaged, "A blob does not decrypt: its bytes were changed.", place: id.hex, cause: error)
        }
        return try packed.withUnsafeBytes(body)
    }

    /// HKDF-Expand(blob key of the epoch, "hawser1 blob" | suite | type | id, 32).
    private func key(of id: ChunkID, type: ChunkType, epoch: UInt8) -> SymmetricKey? {
        guard let expander = expanders[epoch] else { return nil }
        var info: [UInt8] = []
        info.reserveCapacity(Self.keyLabel.count + 2 + ChunkID.byteCount + 1)
        info += Self.keyLabel
        info.append(Self.suite)
        info.append(type.rawValue)
        info.append(identifier: id)
        return expander.key(info: info)
    }

    /// "hawser1" | repository id 32 | suite 1 | type 1 | id 32 | plain length 4.
    private func associatedData(id: ChunkID, type: ChunkType, plainLength: Int) -> [UInt8] {
        var data: [UInt8] = []
        data.reserveCapacity(Self.context.count + repositoryID.count + 2 + ChunkID.byteCount + 4)
        data += Self.context
        data += repositoryID
        data.append(Self.suite)
        data.append(type.rawValue)
        data.append(identifier: id)
        data.append(integer: UInt32(clamping: plainLength))
        return data
    }
}
