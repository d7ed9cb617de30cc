public import HawserFormat
import HawserTransfer

extension RepositoryWriter {
    /// After a `Condemnation`: a writer to commit the same snapshot with, which has stored what lies in the marked packs in
    /// new ones. Saves reading the source again, which not every one can.
    ///
    /// All of a pack is taken, needed or not: nobody notes what a session needs of each.
    /// - Parameters:
    ///   - compression: of metadata.
    ///   - memory: of the new writer, bytes.
    /// - Throws: the condemnation when one of the packs can't be had any more; errors of the storage.
    public func moved(
        from condemnation: Condemnation,
        compression: CompressionMethod,
        memory: Int
    ) async throws -> RepositoryWriter {
        // What the prune has put elsewhere need not be stored again.
        try await repository.refreshIndex()
        index.condemn(condemnation.packs)
        let writer = try RepositoryWriter(repository, compression: compression, memory: memory)
        var marked: Set<UInt32> = []
        for number in references.numbers {
            if condemnation.packs.contains(index.pack(number).name) {
                marked.insert(number)
            } else {
                writer.references.insert(number)
            }
        }
        let records = try index.records(inPacks: marked)
        // Not in the index's segments, so not known whole.
        guard records.count == marked.count else { throw condemnation }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await writer.runUploads() }
            group.addTask {
                for (number, blobs) in records {
                    try await writer.take(blobs, from: self.index.pack(number), condemnation)
                }
                try await writer.flush()
                await writer.finishUploads()
            }
            for try await _ in group {}
        }
        return writer
    }

    private func take(_ blobs: [BlobRecord], from pack: PackReference, _ condemnation: Condemnation) async throws {
        let missing = blobs.filter { !reference($0.id) }
        if missing.isEmpty { return }
        let bytes: [UInt8]
        do {
            // Whole, so that the request does not show what of it is needed.
            bytes = try await repository.target.fetchVerified(pack.key)
        } catch let error as HawserError where error.code == .notFound || error.code == .damaged {
            throw condemnation
        }
        for blob in missing where claim(blob.id) {
            let end = Int(blob.offset) + Int(blob.storedLength)
            guard end <= bytes.count else { throw condemnation }
            try await append([SealedBlob(blob, range: Int(blob.offset)..<end)], in: bytes)
        }
    }
}
