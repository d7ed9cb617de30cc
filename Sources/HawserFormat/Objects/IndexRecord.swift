/// Where one blob lies: an index segment's record of 48 bytes, also the layout of the local cache.
///
/// `id 32 | type and pack number 4 | offset 4 | stored length 4 | plain length 3 | epoch 1`, integers little-endian.
/// The type has the top 4 bits of its word, the pack number the other 28, so that a record is complete by itself,
/// wherever it is merged to.
public struct IndexRecord: Hashable, Sendable {
    public static let byteCount = 48
    /// 28 bits: with packs of 16 MiB, 4 PiB in one table.
    public static let packNumberLimit: UInt32 = 1 << 28
    /// 24 bits.
    public static let plainLengthLimit: UInt32 = 1 << 24

    public var blob: BlobRecord
    /// Place in the pack table that the record goes with, from 0.
    public var packNumber: UInt32

    @usableFromInline static let typeShift: UInt32 = 28
    @usableFromInline static let packOffset = 32
    @usableFromInline static let blobOffset = 36
    @usableFromInline static let storedLengthOffset = 40
    @usableFromInline static let plainLengthOffset = 44

    @inlinable
    public init(blob: BlobRecord, packNumber: UInt32) {
        self.blob = blob
        self.packNumber = packNumber
    }

    /// Reads 48 bytes; `nil` if the chunk type is unknown. Nothing else is checked here.
    ///
    /// - Parameter bytes: At least 48 readable bytes, no alignment needed.
    @inlinable
    public init?(at bytes: UnsafeRawPointer) {
        let place = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: Self.packOffset, as: UInt32.self))
        guard let type = ChunkType(rawValue: UInt8(truncatingIfNeeded: place >> Self.typeShift)) else { return nil }
        let last = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: Self.plainLengthOffset, as: UInt32.self))
        blob = BlobRecord(
            id: Self.id(at: bytes),
            type: type,
            epoch: UInt8(truncatingIfNeeded: last >> 24),
            offset: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: Self.blobOffset, as: UInt32.self)),
            storedLength: UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: Self.storedLengthOffset, as: UInt32.self)
            ),
            plainLength: last & (Self.plainLengthLimit - 1)
        )
        packNumber = place & (Self.packNumberLimit - 1)
    }

    /// Only the id of the record at `bytes`.
    @inlinable
    public static func id(at bytes: UnsafeRawPointer) -> ChunkID {
        ChunkID(UnsafeRawBufferPointer(start: bytes, count: ChunkID.byteCount))
    }

    /// Writes 48 bytes.
    ///
    /// - Parameter bytes: At least 48 writable bytes, no alignment needed.
    /// - Precondition: `packNumber` and `blob.plainLength` are below their limits; higher bits are dropped.
    @inlinable
    public func write(to bytes: UnsafeMutableRawPointer) {
        blob.id.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(start: bytes, count: Self.byteCount).copyMemory(from: $0)
        }
        let place = UInt32(blob.type.rawValue) << Self.typeShift | packNumber & (Self.packNumberLimit - 1)
        let last = blob.plainLength & (Self.plainLengthLimit - 1) | UInt32(blob.epoch) << 24
        bytes.storeBytes(of: place.littleEndian, toByteOffset: Self.packOffset, as: UInt32.self)
        bytes.storeBytes(of: blob.offset.littleEndian, toByteOffset: Self.blobOffset, as: UInt32.self)
        bytes.storeBytes(of: blob.storedLength.littleEndian, toByteOffset: Self.storedLengthOffset, as: UInt32.self)
        bytes.storeBytes(of: last.littleEndian, toByteOffset: Self.plainLengthOffset, as: UInt32.self)
    }
}
