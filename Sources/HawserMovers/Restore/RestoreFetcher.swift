import HawserFormat
import HawserRepository
import HawserStorage
import HawserTransfer

/// Fetches the chunks of each window pack by pack in large ranges, opens them on all cores and writes them where they
/// go.
struct RestoreFetcher: Sendable {
    let repository: Repository
    let tree: RestoreTree
    let counters: RestoreCounters
    let problems: ProblemLog
    let meters: RestoreMeters
    let memory: Int

    /// One request; larger ones only take longer until all cores have something to do.
    private static let spanLimit = 4 << 20
    /// Reading so much too much costs less than another request.
    private static let gapLimit = 512 << 10

    /// Chunks of one pack that are read together.
    private struct Span: Sendable {
        var pack: PackReference
        var blobs: [BlobRecord]
        var destinations: [[RestoreWindow.Destination]]
        /// Bytes: what is read and the largest chunk in it.
        var cost: Int
        /// The window's.
        var place: RestoreQueue.Place?
    }

    private struct Fetched: Sendable {
        var span: Span
        var sealed: [ArraySlice<UInt8>]
    }

    func run(_ queue: RestoreQueue) async throws {
        // Whoever plans must not wait for a fetcher that has ended.
        defer { queue.finish() }
        let budget = ByteBudget(total: max(memory / 3, 24 << 20))
        let (fetched, fetchedInput) = AsyncStream<Fetched>.makeStream()
        let (planned, plannedInput) = AsyncStream<Span>.makeStream()
        let workers = WorkerPool(.off)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { plannedInput.finish() }
                for await window in queue.windows {
                    for span in plan(window) {
                        try await budget.reserve(min(span.cost, budget.total))
                        plannedInput.yield(span)
                    }
                }
            }
            group.addTask {
                defer { fetchedInput.finish() }
                try await runStage(meters.fetch, over: planned) { span in
                    try await fetch(span, fetchedInput)
                }
            }
            group.addTask {
                try await runStage(meters.write, over: fetched, on: BlockingExecutor.shared) { fetched in
                    defer { budget.release(min(fetched.span.cost, budget.total)) }
                    try workers.with { worker in
                        for (index, sealed) in fetched.sealed.enumerated() where !sealed.isEmpty {
                            try write(sealed, fetched.span, index, worker)
                        }
                    }
                }
            }
            // The first failure ends the other stages, which may wait for each other.
            for try await _ in group {}
        }
    }

    // MARK: Planning

    private func plan(_ window: RestoreWindow) -> [Span] {
        var byPack: [UInt32: [(blob: BlobRecord, destinations: [RestoreWindow.Destination])]] = [:]
        var order: [UInt32] = []
        for wanted in window.chunks {
            guard let record = repository.index.find(wanted.id), Int(record.blob.plainLength) == wanted.length else {
                fail(wanted.destinations, repository.missingChunk(wanted.id))
                continue
            }
            if byPack[record.packNumber] == nil { order.append(record.packNumber) }
            byPack[record.packNumber, default: []].append((record.blob, wanted.destinations))
        }
        return order.flatMap { number in
            spans(
                repository.index.pack(number),
                (byPack[number] ?? []).sorted { $0.blob.offset < $1.blob.offset },
                window.place
            )
        }
    }

    private func spans(
        _ pack: PackReference,
        _ wanted: [(blob: BlobRecord, destinations: [RestoreWindow.Destination])],
        _ place: RestoreQueue.Place?
    ) -> [Span] {
        var spans: [Span] = []
        var start = 0
        var end = 0
        for (blob, destinations) in wanted {
            let blobEnd = Int(blob.offset) + Int(blob.storedLength)
            let fits = blobEnd - start <= Self.spanLimit && Int(blob.offset) - end <= Self.gapLimit
            if !spans.isEmpty, fits {
                spans[spans.count - 1].blobs.append(blob)
                spans[spans.count - 1].destinations.append(destinations)
            } else {
                start = Int(blob.offset)
                spans.append(Span(pack: pack, blobs: [blob], destinations: [destinations], cost: 0, place: place))
            }
            end = blobEnd
            let largest = spans[spans.count - 1].blobs.reduce(0) { max($0, Int($1.plainLength)) }
            spans[spans.count - 1].cost = end - start + 2 * Repository.readGrid + 2 * largest
        }
        return spans
    }

    // MARK: Fetching

    private func fetch(_ span: Span, _ output: AsyncStream<Fetched>.Continuation) async throws {
        do {
            output.yield(Fetched(span: span, sealed: try await repository.fetch(span.blobs, from: span.pack)))
        } catch let original as HawserError where original.code != .unavailable && original.code != .accessDenied {
            guard let length = try await length(of: span.pack) else {
                output.yield(try await fetchElsewhere(span, original))
                return
            }
            if length == 0 {
                for destinations in span.destinations { fail(destinations, original) }
                output.yield(Fetched(span: span, sealed: span.blobs.map { _ in [] }))
                return
            }
            // A pack that was cut short still has what lies before the cut. On the grid too: requests never show where
            // chunks lie, not even to a storage that fails them on purpose.
            var pack = span.pack
            pack.length = min(pack.length, length)
            var sealed: [ArraySlice<UInt8>] = []
            for (index, blob) in span.blobs.enumerated() {
                do {
                    sealed += try await repository.fetch([blob], from: pack)
                } catch var error as HawserError {
                    error.place = span.pack.key.path
                    fail(span.destinations[index], error)
                    sealed.append([])
                }
            }
            output.yield(Fetched(span: span, sealed: sealed))
        }
    }

    /// How much of a pack is there; `nil` when it is gone, 0 when something else lies in its place.
    private func length(of pack: PackReference) async throws -> UInt32? {
        do {
            return try await repository.target.head(pack.key).map { UInt32(clamping: $0.length) }
        } catch let error as HawserError where error.code == .damaged {
            return 0
        }
    }

    /// A prune has moved what is needed of a pack that is gone.
    private func fetchElsewhere(_ span: Span, _ original: HawserError) async throws -> Fetched {
        // What windows to come need of it is looked up where it lies now.
        repository.index.condemn([span.pack.name])
        var found = Fetched(span: span, sealed: [])
        for (index, blob) in span.blobs.enumerated() {
            let place = try await repository.elsewhere(blob.id, besides: span.pack) {
                record -> (blob: BlobRecord, sealed: ArraySlice<UInt8>)? in
                guard record.blob.plainLength == blob.plainLength else { return nil }
                do {
                    let pack = repository.index.pack(record.packNumber)
                    return (record.blob, try await repository.fetch([record.blob], from: pack)[0])
                } catch let error as HawserError where error.code != .unavailable && error.code != .accessDenied {
                    return nil
                }
            }
            if let place { found.span.blobs[index] = place.blob } else { fail(span.destinations[index], original) }
            found.sealed.append(place?.sealed ?? [])
        }
        return found
    }

    // MARK: Writing

    private func write(_ sealed: ArraySlice<UInt8>, _ span: Span, _ index: Int, _ worker: WorkerPool.Worker) throws {
        let destinations = span.destinations[index]
        do {
            let blob = span.blobs[index]
            try repository.open(sealed, blob, with: worker.compressor, place: span.pack.key, into: &worker.scratch)
        } catch let error as HawserError {
            return fail(destinations, error)
        }
        for destination in destinations {
            do {
                switch destination {
                case .whole(let entry):
                    counters.count(try worker.scratch.withUnsafeBytes { try tree.writeFile(entry, $0) }, of: entry)
                case .part(let pending, let offset):
                    try worker.scratch.withUnsafeBytes { try pending.file.write($0, at: offset) }
                    try pending.arrive(counters)
                }
                counters.add { $0.bytes += UInt64(worker.scratch.count) }
            } catch let error as HawserError where error.code != .storageFull {
                fail([destination], error)
            }
        }
    }

    /// The files that need a chunk that can't be had are not restored; each is named once.
    private func fail(_ destinations: [RestoreWindow.Destination], _ error: HawserError) {
        for destination in destinations {
            if case .part(let pending, _) = destination, !pending.fail() { continue }
            problems.add(destination.path, error)
        }
    }
}
