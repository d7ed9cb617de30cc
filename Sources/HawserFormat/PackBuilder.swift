internal import Crypto

/// A pack in the making: sealed blobs one after the other in a buffer that is used again for the next pack.
public struct PackBuilder: Sendable {
    public let kind: PackKind
    /// The finished pack is never longer, bytes.
    public let sizeLimit: Int
    /// Their offsets hold unless the builder is joined to another one.
    public private(set) var records: [BlobRecord] = []
    private var buffer: [UInt8]

    /// - Parameters:
    ///   - buffer: That of an earlier pack: its bytes are dropped, and its memory is used again if nobody else holds it.
    ///   - sizeLimit: See `PackLayout`; at least 64 KiB.
    public init(kind: PackKind, buffer: consuming [UInt8] = [], sizeLimit: Int) {
        self.kind = kind
        self.sizeLimit = min(sizeLimit, PackLayout.greatestLength)
        self.buffer = []
        // Not an assignment, which could leave a second reference: then the memory would be allocated anew.
        swap(&self.buffer, &buffer)
        self.buffer.removeAll(keepingCapacity: true)
        self.buffer.reserveCapacity(max(self.sizeLimit, PackLayout.headerLength))
        self.buffer.append(contentsOf: repeatElement(0, count: PackLayout.headerLength))
    }

    public var isEmpty: Bool { records.isEmpty }
    /// The blobs' bytes together.
    public var blobLength: Int { buffer.count - PackLayout.headerLength }
    /// How long the pack would be if it were finished now, bytes.
    public var finishedLength: Int { PackLayout.packLength(blobLength: blobLength, count: records.count) }

    /// Whether one more blob fits, with its record in the footer and the padding.
    public func canFit(storedLength: Int) -> Bool {
        guard 0...PackLayout.longestBlob ~= storedLength else { return false }
        let length = PackLayout.packLength(blobLength: blobLength + storedLength, count: records.count + 1)
        return length <= sizeLimit
    }

    /// Appends a blob that was sealed elsewhere.
    @discardableResult
    public mutating func append(
        _ sealed: UnsafeRawBufferPointer,
        id: ChunkID,
        type: ChunkType,
        epoch: UInt8,
        plainLength: Int
    ) throws -> BlobRecord {
        try append(id: id, type: type, epoch: epoch, plainLength: plainLength) { $0.append(contentsOf: sealed) }
    }

    /// Appends what `seal` appends to the buffer. If it throws, or if the blob does not fit, the builder is as before.
    @discardableResult
    public mutating func append(
        id: ChunkID,
        type: ChunkType,
        epoch: UInt8,
        plainLength: Int,
        seal: (inout [UInt8]) throws -> Void
    ) throws -> BlobRecord {
        let offset = buffer.count
        do {
            try seal(&buffer)
            let storedLength = buffer.count - offset
            guard PackKind(for: type) == kind, 0...Compressor.plainLimit ~= plainLength,
                PackLayout.shortestBlob...PackLayout.longestBlob ~= storedLength,
                PackLayout.packLength(blobLength: blobLength, count: records.count + 1) <= sizeLimit
            else { throw HawserError(.invalidArgument, "The blob does not fit into this pack.", place: id.hex) }
            let record = BlobRecord(
                id: id,
                type: type,
                epoch: epoch,
                offset: UInt32(offset),
                storedLength: UInt32(storedLength),
                plainLength: UInt32(plainLength)
            )
            records.append(record)
            return record
        } catch {
            buffer.removeLast(max(0, buffer.count - offset))
            throw error
        }
    }

    /// Where the bytes lie: for the test that memory is used again.
    var address: UnsafeRawPointer? { buffer.withUnsafeBytes { $0.baseAddress } }

    // MARK: Joining

    public func canJoin(_ other: PackBuilder) -> Bool {
        kind == other.kind
            && PackLayout.packLength(
                blobLength: blobLength + other.blobLength,
                count: records.count + other.records.count
            ) <= sizeLimit
    }

    /// Takes over the blobs of `other`, which becomes empty; their offsets change.
    ///
    /// - Throws: `invalidArgument` unless `canJoin(other)`.
    public mutating func join(_ other: inout PackBuilder) throws {
        guard canJoin(other) else { throw HawserError(.invalidArgument, "The two packs do not fit into one.") }
        let shift = UInt32(blobLength)
        buffer.append(contentsOf: other.buffer.dropFirst(PackLayout.headerLength))
        records += other.records.map { record in
            var record = record
            record.offset += shift
            return record
        }
        other.buffer.removeLast(other.blobLength)
        other.records = []
    }

    // MARK: Finishing

    /// A pack as it is stored.
    public struct Finished: Sendable {
        /// Give them to the next builder as its buffer once they are stored.
        public var bytes: [UInt8]
        public var name: ObjectName
        public var kind: PackKind
        public var records: [BlobRecord]

        public var key: ObjectKey { .named(kind.objectKind, name) }
    }

    /// Adds the footer with the padding, and the trailer. The builder is empty then and has lost its memory; if this throws,
    /// it is as before.
    ///
    /// - Parameters:
    ///   - sealer: Its current epoch seals the footer.
    ///   - writerID: 16 bytes that name the writing program's run.
    public mutating func finish(sealer: ObjectSealer, writerID: [UInt8]) throws -> Finished {
        guard writerID.count == PackLayout.writerIDLength else {
            throw HawserError(.invalidArgument, "A writer's id has 16 bytes.")
        }
        let footerOffset = buffer.count
        let footerLength = finishedLength - footerOffset - PackLayout.trailerLength
        var footer = writerID
        footer.reserveCapacity(PackLayout.footerLength(count: records.count))
        footer.append(integer: UInt32(records.count))
        for record in records {
            footer.append(identifier: record.id)
            footer.append(record.type.rawValue)
            footer.append(record.epoch)
            footer.append(integer: record.offset)
            footer.append(integer: record.storedLength)
            footer.append(integer: record.plainLength)
        }
        let sealedFooter = try sealer.seal(
            footer,
            kind: kind.footerKind,
            padding: .exact(footerLength - SealedEnvelope.overhead)
        )
        var trailer: [UInt8] = []
        trailer.append(integer: UInt32(footerOffset))
        trailer.append(integer: UInt32(footerLength))
        let sealedTrailer = try sealer.seal(
            trailer,
            kind: kind.trailerKind,
            padding: .exact(PackLayout.trailerLength - SealedEnvelope.overhead)
        )
        // Their headers are that of the pack, but for the kind, so they are not stored.
        var reader = ByteReader(sealedFooter)
        let epoch = try ObjectHeader(&reader, kind: kind.footerKind, suite: ObjectHeader.suite1).epoch
        let header = ObjectHeader(kind: kind.headerKind, suite: ObjectHeader.suite1, epoch: epoch).bytes
        // Taken out, so that no second reference makes the changes copy the pack.
        var bytes: [UInt8] = []
        swap(&bytes, &buffer)
        bytes.replaceSubrange(..<PackLayout.headerLength, with: header)
        bytes.append(contentsOf: sealedFooter.dropFirst(PackLayout.headerLength))
        bytes.append(contentsOf: sealedTrailer.dropFirst(PackLayout.headerLength))
        let name = bytes.withUnsafeBytes { bytes in
            var hash = SHA256()
            hash.update(bufferPointer: bytes)
            return hash.finalize().withUnsafeBytes { ObjectName($0) }
        }
        let finished = Finished(bytes: bytes, name: name, kind: kind, records: records)
        buffer = [UInt8](repeating: 0, count: PackLayout.headerLength)
        records = []
        return finished
    }
}
