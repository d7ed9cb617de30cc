public import HawserFormat
import HawserStorage
import HawserTransfer

extension RepositoryWriter {
    /// Puts sealed chunks into packs. Waits while all pack buffers are on their way to the storage.
    ///
    /// Data blobs must come from one task at a time, and so must metadata blobs.
    ///
    /// - Parameter bytes: holds all of `blobs`.
    public func append(_ blobs: [SealedBlob], in bytes: [UInt8]) async throws {
        if storesNothing { return }
        for blob in blobs {
            let kind = PackKind(for: blob.type)
            var placed = false
            while !placed {
                let epoch = blob.epoch ?? repository.blobs.currentEpoch
                switch try self[lane: kind].append(blob, in: bytes, epoch: epoch) {
                case .appended:
                    placed = true
                case .upload(let pack):
                    upload(pack)
                case .needsBuffer:
                    let buffer = try await self[lane: kind].buffers.take()
                    // `flush` may have run meanwhile; it only closes packs, so this place is still free.
                    self[lane: kind].open(with: buffer)
                }
            }
        }
    }

    /// Takes over a blob of another pack as it is.
    func append(_ blob: BlobRecord, sealed: [UInt8]) async throws {
        try await append([SealedBlob(blob, range: sealed.indices)], in: sealed)
    }

    /// Stores a metadata chunk unless it is there.
    public func store(_ blob: TreeBlob) async throws {
        guard claim(blob.id), !storesNothing else { return }
        var packed: [UInt8] = []
        var sealed: [UInt8] = []
        blob.bytes.withUnsafeBytes { compressor.compress($0, into: &packed) }
        try packed.withUnsafeBytes {
            try repository.blobs.seal($0, id: blob.id, type: blob.type, plainLength: blob.bytes.count, into: &sealed)
        }
        try verify(sealed, blob)
        let place = SealedBlob(
            id: blob.id,
            type: blob.type,
            plainLength: blob.bytes.count,
            range: sealed.indices
        )
        try await append([place], in: sealed)
    }

    /// Opens what was sealed and compares: neither bad memory nor a compressor's defect must reach the storage.
    private func verify(_ sealed: [UInt8], _ blob: TreeBlob) throws {
        let isSame = try sealed.withUnsafeBytes {
            try repository.blobs.open(
                $0,
                id: blob.id,
                type: blob.type,
                epoch: repository.blobs.currentEpoch,
                plainLength: blob.bytes.count
            ) { packed in
                try blob.bytes.withUnsafeBytes { try compressor.matches(packed, plain: $0) }
            }
        }
        guard isSame else { throw HawserError.differsAfterSealing }
    }

    /// Notes that the snapshot needs this chunk.
    ///
    /// - Returns: false when it is not stored.
    public nonisolated func reference(_ id: ChunkID) -> Bool {
        guard let location = index.findLasting(id) else { return false }
        references.insert(location.packNumber)
        return true
    }

    /// Closes all open packs and returns when every pack is durable.
    public func flush() async throws {
        for kind in PackKind.allCases {
            for pack in try self[lane: kind].close() { upload(pack) }
        }
        if underway.isEmpty { return }
        if let uploadsEnd { throw uploadsEnd }
        let last = uploadCount
        try await withCheckedThrowingContinuation { flushWaiters.append((last, $0)) }
    }

    private func upload(_ pack: PackBuilder) {
        uploadCount += 1
        underway.insert(uploadCount)
        uploadContinuation.yield(Upload(number: uploadCount, pack: pack))
    }

    /// No more packs will come: `runUploads` returns when those underway are done.
    public func finishUploads() {
        uploadContinuation.finish()
    }

    /// The upload stage: seals packs, sends them to the target and enters them into the index.
    public nonisolated func runUploads() async throws {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                var running = 0
                for await upload in uploads {
                    if running >= uploadWidth {
                        try await group.next()
                        running -= 1
                    }
                    group.addTask {
                        do {
                            try await self.store(upload)
                        } catch {
                            // At once: `flush` may be waiting for this pack, and the loop above for the next one.
                            await self.endUploads(error)
                            throw error
                        }
                    }
                    running += 1
                }
                try await group.waitForAll()
            }
            await endUploads(CancellationError())
        } catch {
            await endUploads(error)
            throw error
        }
    }

    private func endUploads(_ error: any Error) {
        if uploadsEnd == nil { uploadsEnd = error }
        uploadContinuation.finish()
        for waiter in flushWaiters { waiter.continuation.resume(throwing: error) }
        flushWaiters = []
    }

    private nonisolated func store(_ upload: Upload) async throws {
        var pack = try await seal(upload)
        let lockEnd = repository.lockEnd
        let receipt = try await repository.target.store(
            SealedObject(key: pack.key, bytes: pack.bytes, sha256: pack.name)
        )
        // What was there already has the lock of whoever stored it.
        if let lockEnd, receipt.result == .created { await note(pack.name, lockedUntil: lockEnd) }
        journal.append(pack.key)
        if pack.kind == .metadata { await repository.keep(pack.key, pack.bytes) }
        let info = PackReference(
            name: pack.name,
            length: UInt32(clamping: receipt.length),
            isMetadata: pack.kind == .metadata
        )
        let number = index.add(info, pack.records)
        fulfil(pack.records)
        references.insert(number)
        var buffer: [UInt8] = []
        swap(&buffer, &pack.bytes)
        await packWasStored(info, pack.records, buffer: consume buffer)
        try await saveIndexIfDue()
        await uploadIsDone(upload.number)
    }

    /// Off the actor: hashing a pack takes ten milliseconds.
    @concurrent
    private nonisolated func seal(_ upload: Upload) async throws -> PackBuilder.Finished {
        guard var builder = upload.take() else {
            throw HawserError(.internalError, "A pack was sealed twice.")
        }
        return try builder.finish(sealer: repository.objects, writerID: writerID)
    }

    private func note(_ pack: ObjectName, lockedUntil end: Timestamp) {
        lockEnds[pack] = end
    }

    private func packWasStored(_ pack: PackReference, _ records: [BlobRecord], buffer: consuming [UInt8]) {
        self[lane: pack.isMetadata ? .metadata : .data].buffers.give(buffer)
        totals.packs += 1
        totals.chunks += records.count
        totals.storedBytes += UInt64(pack.length)
        totals.plainBytes += records.reduce(0) { $0 + UInt64($1.plainLength) }
    }

    private func uploadIsDone(_ number: Int) {
        underway.remove(number)
        let first = underway.min() ?? .max
        for waiter in flushWaiters where waiter.through < first { waiter.continuation.resume() }
        flushWaiters.removeAll { $0.through < first }
    }
}

extension Repository {
    /// How long a job with so much memory makes data packs when the repository has so many bytes; bytes.
    func packSize(storedBytes: UInt64, memory: Int) -> Int {
        PackLayout.dataSize(base: target.access.packSize, storedBytes: storedBytes, memory: memory)
    }
}
