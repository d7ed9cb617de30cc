import HawserFormat

extension FuzzedDecoder {
    /// A whole pack as it is stored.
    static let wholePack = FuzzedDecoder(
        "pack",
        seeds: { try PackKind.allCases.map { try finishedPack($0) } },
        decode: { bytes in
            // The ninth byte of every object tells its kind.
            let isMetadata = bytes.dropFirst(8).first == HeaderKind.metadataPack.rawValue
            _ = try PackReader.footer(of: bytes, kind: isMetadata ? .metadata : .data, sealer: sealer)
        }
    )

    static let packTrailer = FuzzedDecoder(
        "pack-trailer",
        seeds: {
            var body: [UInt8] = []
            body.append(integer: UInt32(packLength - PackLayout.trailerLength - 8192))
            body.append(integer: UInt32(8192))
            return [body]
        },
        decode: { bytes in
            let body = Array(bytes.prefix(trailerBodyLength))
            let padding = ObjectSealer.Padding.exact(ObjectSealer.lengthFieldLength + trailerBodyLength)
            let sealed = try sealer.seal(body, kind: .dataPackTrailer, padding: padding)
            let range = try reader().footerRange(tail: sealed[...], sealer: sealer)
            precondition(range.upperBound <= packLength, "the footer lies in the pack")
        }
    )

    static let packFooter = FuzzedDecoder(
        "pack-footer",
        seeds: {
            var body = writerID
            body.append(integer: UInt32(2))
            let recordLength = 46
            let footer = footerRange(ofBody: body.count + 2 * recordLength)
            let lengths = [100, footer.lowerBound - PackLayout.headerLength - 100]
            var offset = PackLayout.headerLength
            for length in lengths {
                body.append(identifier: chunk)
                body += [ChunkType.data.rawValue, 1]
                for number in [offset, length, length] { body.append(integer: UInt32(number)) }
                offset += length
            }
            return [body]
        },
        decode: { bytes in
            let sealed = try sealer.seal(bytes, kind: .dataPackFooter).dropFirst(PackLayout.headerLength)
            let range = footerRange(ofBody: bytes.count)
            let tail = sealed + [UInt8](repeating: 0, count: PackLayout.trailerLength)
            let footer = try reader().footer(range, tail: tail, sealer: sealer)
            let stored = footer.records.reduce(0) { $0 + Int($1.storedLength) }
            precondition(stored == range.lowerBound - PackLayout.headerLength, "every byte belongs to a blob")
        }
    )

    /// The offset and the length of the footer, 4 bytes each.
    private static let trailerBodyLength = 8
    private static let writerID = [UInt8](repeating: 6, count: 16)
    // Room for the footer that an input of 64 KiB makes.
    private static let packLength = 1 << 20

    // Made once: a whole pack for each input would take most of the time.
    private static let packHeader = (try? finishedPack(.data).prefix(PackLayout.headerLength)) ?? []

    private static func finishedPack(_ kind: PackKind) throws -> [UInt8] {
        var builder = PackBuilder(kind: kind, sizeLimit: 64 << 10)
        let blob = [UInt8](repeating: 7, count: 100)
        try blob.withUnsafeBytes {
            let type: ChunkType = kind == .data ? .data : .treePage
            _ = try builder.append($0, id: chunk, type: type, epoch: 1, plainLength: 90)
        }
        return try builder.finish(sealer: sealer, writerID: writerID).bytes
    }

    private static func reader() throws -> PackReader {
        try PackReader(kind: .data, header: packHeader, packLength: packLength)
    }

    /// Where the footer of such a body lies, with standard padding.
    private static func footerRange(ofBody count: Int) -> Range<Int> {
        let end = packLength - PackLayout.trailerLength
        return end - (ObjectSealer.sealedLength(ofBody: count) - PackLayout.headerLength)..<end
    }
}
