public import HawserFormat

extension Repository {
    /// Gives the extents of a file's content in order, whatever form it is stored in.
    ///
    /// Inline content has none: see `Content.inline`.
    public func forEachExtent(
        of content: Content?,
        reader: BlobReader,
        _ body: (Extent) async throws -> Void
    ) async throws {
        switch content {
        case nil, .inline: return
        case .extents(let extents):
            for extent in extents { try await body(extent) }
        case .list(let root, let height):
            try await forEachExtent(inList: root, height: height, reader: reader, listed: { _ in }, body)
        }
    }

    /// - Parameter listed: called with the id of each content-list blob before its content.
    func forEachExtent(
        inList id: ChunkID,
        height: Int,
        reader: BlobReader,
        listed: (ChunkID) throws -> Void,
        _ body: (Extent) async throws -> Void
    ) async throws {
        try listed(id)
        let list = try ContentList(decoding: await reader.read(id, type: .contentList), level: height)
        switch list.items {
        case .extents(let extents):
            for extent in extents { try await body(extent) }
        case .children(let children):
            for child in children {
                try await forEachExtent(
                    inList: child.id,
                    height: height - 1,
                    reader: reader,
                    listed: listed,
                    body
                )
            }
        }
    }
}

extension RepositoryWriter {
    /// Whether a content list and every chunk in it are stored; notes the packs that have them.
    public nonisolated func referenceContentList(_ root: ChunkID, height: Int, reader: BlobReader) async throws -> Bool
    {
        struct Missing: Error {}
        do {
            try await repository.forEachExtent(inList: root, height: height, reader: reader) { id in
                guard reference(id) else { throw Missing() }
            } _: { extent in
                if case .data(let id, _) = extent, !reference(id) { throw Missing() }
            }
            return true
        } catch is Missing {
            return false
        } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
            return false
        }
    }
}
