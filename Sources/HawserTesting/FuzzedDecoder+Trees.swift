import HawserFormat

extension FuzzedDecoder {
    // The level of a page or list comes from outside of it: here from a byte in front, for both kinds in turn.

    static let treePage = FuzzedDecoder(
        "tree-page",
        seeds: {
            var builder = TreeBuilder(treeKey: [UInt8](repeating: 5, count: 32)) { ids.id(of: $0, type: $1) }
            var pages: [TreeBlob] = []
            for index in 1000..<2000 {
                var entry = Entry(path: .root.appending(Array("file-\(index)".utf8)), kind: .file)
                entry.content = .inline([1])
                entry.size = 1
                entry.created = Timestamp(seconds: -1, nanoseconds: 5)
                entry.attributes = [ExtendedAttribute(name: Array("user.a".utf8), value: [0])]
                pages += try builder.append(entry)
            }
            let (last, root) = builder.finish()
            pages += last
            // The first is a leaf, the last is the root.
            return [[0] + pages[0].bytes, [UInt8(root.height)] + pages[pages.count - 1].bytes]
        },
        decode: { bytes in
            guard let level = bytes.first else { return }
            let page = try TreePage(decoding: Array(bytes.dropFirst()), level: Int(level & 3))
            _ = (page.first, page.last, page.entryCount, page.byteCount)
            if let first = page.first { _ = (page.entry(at: first), page.child(covering: first)) }
        }
    )

    static let contentList = FuzzedDecoder(
        "content-list",
        seeds: {
            var builder = ContentListBuilder { ids.id(of: $0, type: $1) }
            var blobs: [TreeBlob] = []
            for index in 0..<3000 {
                let id = withUnsafeBytes(of: index) { ids.id(of: $0, type: .data) }
                blobs += try builder.append(.data(id, length: 1 << 20))
                blobs += try builder.append(.hole(length: 4096))
            }
            let (last, content) = builder.finish()
            blobs += last
            guard case .list(_, let height) = content else { return [] }
            return [[0] + blobs[0].bytes, [UInt8(height)] + blobs[blobs.count - 1].bytes]
        },
        decode: { bytes in
            guard let level = bytes.first else { return }
            let list = try ContentList(decoding: Array(bytes.dropFirst()), level: Int(level & 3))
            for offset: UInt64 in [0, 1, 1 << 20, .max] {
                _ = list.index(covering: offset)
            }
        }
    )

    static let attributeBlob = FuzzedDecoder(
        "attribute-blob",
        seeds: {
            let value = [UInt8](repeating: 7, count: 5000)
            return [try AttributeBlob.encode([ExtendedAttribute(name: Array("user.large".utf8), value: value)])]
        },
        decode: { _ = try AttributeBlob.decode($0) }
    )
}
