internal import Crypto

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// The part that all sealed objects but blobs have in common:
/// `clear | salt 32 | commitment 32 | nonce 12 | ciphertext | tag 16`.
///
/// `key 32 | commitment 32 = HKDF-Expand(base, label | kind | salt, 64)`; the associated data is
/// `context | clear | salt | commitment`. The commitment binds the object to one key, which AES-GCM alone does not.
struct SealedEnvelope {
    static let saltLength = 32
    static let commitmentLength = 32
    /// 96 random bits: the nonce length that GCM is specified for without further hashing.
    static let nonceLength = 12
    static let tagLength = 16
    static let overhead = saltLength + commitmentLength + nonceLength + tagLength
    /// Of the plaintext: tells the body from the padding.
    static let lengthFieldLength = 4

    var label: String
    var kind: HeaderKind
    /// The repository id, where it is known before the object is opened.
    var context: [UInt8]

    private func keys(base: SymmetricKey, salt: some Sequence<UInt8>) -> (key: SymmetricKey, commitment: [UInt8]) {
        let info = Array(label.utf8) + [kind.rawValue] + salt
        let output = HKDF<SHA256>.expand(pseudoRandomKey: base, info: info, outputByteCount: 64)
        return output.withUnsafeBytes { bytes in
            (SymmetricKey(data: UnsafeRawBufferPointer(rebasing: bytes[..<32])), Array(bytes[32...]))
        }
    }

    /// - Parameter plaintext: Padded already.
    func seal(
        _ plaintext: [UInt8],
        clear: [UInt8],
        salt: [UInt8],
        nonce: [UInt8],
        base: SymmetricKey
    ) throws -> [UInt8] {
        let (key, commitment) = keys(base: base, salt: salt)
        let header = clear + salt + commitment
        let box: AES.GCM.SealedBox
        do {
            box = try AES.GCM.seal(
                plaintext,
                using: key,
                nonce: AES.GCM.Nonce(data: nonce),
                authenticating: context + header
            )
        } catch {
            throw HawserError(.internalError, "An object could not be encrypted.", cause: error)
        }
        var object: [UInt8] = []
        object.reserveCapacity(clear.count + Self.overhead + plaintext.count)
        object += header
        object += nonce
        object += box.ciphertext
        object += box.tag
        return object
    }

    /// The padded plaintext, or `nil` if the object was sealed under another base key.
    ///
    /// - Parameter clearLength: How many bytes of `object` precede the salt; they exist.
    func open(_ object: ArraySlice<UInt8>, clearLength: Int, base: (_ salt: [UInt8]) throws -> SymmetricKey) throws
        -> [UInt8]?
    {
        guard object.count >= clearLength + Self.overhead else {
            throw HawserError(.damaged, "The object ends too early.")
        }
        let headerEnd = object.startIndex + clearLength + Self.saltLength + Self.commitmentLength
        let header = object[..<headerEnd]
        let salt = header.dropFirst(clearLength).prefix(Self.saltLength)
        let (key, commitment) = try keys(base: base(Array(salt)), salt: salt)
        guard header.suffix(Self.commitmentLength).elementsEqual(commitment) else { return nil }
        do {
            let box = try AES.GCM.SealedBox(combined: object[headerEnd...])
            return Array(try AES.GCM.open(box, using: key, authenticating: context + header))
        } catch {
            throw HawserError(.damaged, "The object does not decrypt: its bytes were changed.", cause: error)
        }
    }

    // MARK: Padding

    /// Fills the length field at the beginning of `plaintext` and appends zeros up to `length`.
    static func pad(_ plaintext: inout [UInt8], to length: Int) throws {
        guard plaintext.count >= lengthFieldLength, plaintext.count <= length,
            let bodyLength = UInt32(exactly: plaintext.count - lengthFieldLength)
        else { throw HawserError(.invalidArgument, "The object's body does not fit into its padded length.") }
        for index in 0..<lengthFieldLength {
            plaintext[index] = UInt8(truncatingIfNeeded: bodyLength >> UInt32(8 * index))
        }
        plaintext.append(contentsOf: [UInt8](repeating: 0, count: length - plaintext.count))
    }

    /// Removes the length field and the padding, which must be zeros.
    static func unpad(_ plaintext: consuming [UInt8]) throws -> [UInt8] {
        var reader = ByteReader(plaintext)
        let bodyLength: UInt32 = try reader.read()
        let body = try reader.read(count: Int(bodyLength))
        let isPaddedWithZeros = reader.readRest().withUnsafeBytes { $0.allSatisfy { $0 == 0 } }
        guard isPaddedWithZeros else { throw HawserError(.damaged, "The padding of an object is not zero.") }
        return Array(body)
    }
}
