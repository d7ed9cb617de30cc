import HawserFormat
import HawserTransfer

/// What a pack says it holds, without having read its blobs.
struct IndexedPack: Sendable {
    var pack: PackReference
    var records: [BlobRecord]
}

/// What reading a pack's footer came to, where one bad pack must not keep from the others.
enum FooterReading: Sendable {
    case read(IndexedPack)
    /// Deleted since it was listed.
    case gone
    case failed(ObjectKey, HawserError)
}

extension Repository {
    func readFooter(of pack: PackReference) async throws -> FooterReading {
        do {
            return .read(IndexedPack(pack: pack, records: try await footer(of: pack).records))
        } catch let error as HawserError {
            return error.code == .notFound ? .gone : .failed(pack.key, error)
        }
    }

    /// Reads the footer of a pack: its head and its end, or all of it when it is short.
    ///
    /// - Throws: `damaged` when it is no pack, or one that no index segment could describe.
    func footer(of pack: PackReference) async throws -> PackFooter {
        let length = Int(pack.length)
        do {
            if length <= Self.wholeLimit {
                let bytes = try await target.fetch(pack.key, range: nil)
                guard bytes.count == length else { throw Self.wrongLength(pack, bytes.count) }
                return try Self.checked(PackReader.footer(of: bytes, kind: pack.kind, sealer: objects))
            }
            let head = try await target.fetch(pack.key, range: 0..<Self.headLength)
            let reader = try PackReader(kind: pack.kind, header: head[...], packLength: length)
            let first = PackReader.firstTail(packLength: length)
            var tail = try await target.fetch(pack.key, range: first)
            let footer = try reader.footerRange(tail: tail[...], sealer: objects)
            let needed = reader.tail(holding: footer)
            if needed.lowerBound < first.lowerBound { tail = try await target.fetch(pack.key, range: needed) }
            return try Self.checked(reader.footer(footer, tail: tail[...], sealer: objects))
        } catch var error as HawserError {
            error.place = pack.key.path
            // A header with a wrong byte can look like a newer version's, or like one of another key.
            if error.code == .unsupported || error.code == .accessDenied {
                _ = try await target.fetchVerified(pack.key)
            }
            throw error
        }
    }

    /// One request instead of two costs no more than so many bytes.
    private static let wholeLimit = 512 << 10
    private static let headLength = 16

    /// - Throws: `damaged` for a footer whose records can't be in one index segment.
    static func checked(_ footer: PackFooter) throws -> PackFooter {
        guard footer.records.count <= IndexSegment.recordLimit,
            Set(footer.records.map(\.id)).count == footer.records.count
        else { throw HawserError(.damaged, "The pack's footer names a chunk twice, or more than a segment can hold.") }
        return footer
    }

    static func wrongLength(_ pack: PackReference, _ found: Int) -> HawserError {
        HawserError(
            .damaged,
            "The pack has \(found) bytes instead of \(pack.length).",
            place: pack.key.path
        )
    }
}

extension PackReference {
    var kind: PackKind { isMetadata ? .metadata : .data }
    var indexKind: ObjectKind { isMetadata ? .metadataIndex : .dataIndex }

    /// - Returns: `nil` for what can't be a pack.
    init?(_ key: ObjectKey, length: Int) {
        guard let name = key.name, let length = UInt32(exactly: length),
            key.kind == .dataPack || key.kind == .metadataPack
        else { return nil }
        self.init(name: name, length: length, isMetadata: key.kind == .metadataPack)
    }
}
