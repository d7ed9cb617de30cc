import HawserFormat
import HawserRepository
import HawserStorage

/// The read stage: fills buffers from files and cuts them into chunks. Runs on threads that may block.
struct FileReader: Sendable {
    let source: any BackupSource
    let repository: Repository
    let pool: ReadBufferPool
    /// At the beginning of a file.
    let chunker: Chunker
    /// Files up to this size are one chunk whatever they hold.
    let smallestCut: Int
    let progress: BackupProgressCounters
    let meter: StageMeter<BackupStage>
    let output: AsyncStream<ReadBatch>.Continuation

    /// A file that has grown by no more than this since it was listed is still read in one go.
    private static let slack = 4 << 10

    func read(_ batch: WalkBatch) async throws {
        let reading = batch.items.filter(\.isRead)
        if reading.count == 1, batch.items.count == 1, let item = reading.first,
            item.entry.size > UInt64(ReadBufferPool.smallCapacity / 2)
        {
            try await readLarge(item, batch: batch.number)
            return
        }
        try await readSmall(batch)
    }

    // MARK: Several files in one buffer

    private func readSmall(_ batch: WalkBatch) async throws {
        var files: [FilePart<RawExtent>] = []
        files.reserveCapacity(batch.items.count)
        var buffer: ReadBuffer?
        var used = 0
        var part = 0
        for item in batch.items {
            guard item.isRead else {
                files.append(FilePart(entry: item.entry, charge: item.charge, end: .unread))
                continue
            }
            let wanted = Int(clamping: item.entry.size) + Self.slack
            if wanted > ReadBufferPool.smallCapacity {
                output.yield(ReadBatch(batch: batch.number, part: part, isLast: false, files: files))
                files = []
                part = try await readLarge(item, batch: batch.number, firstPart: part + 1, isLast: false)
                continue
            }
            if buffer.map({ $0.memory.count - used < wanted }) ?? true {
                // Handed on before waiting for another one, so that a waiting reader holds nothing.
                if buffer != nil {
                    output.yield(ReadBatch(batch: batch.number, part: part, isLast: false, files: files))
                    files = []
                    part += 1
                    buffer = nil
                }
                buffer = try await pool.take(capacity: ReadBufferPool.smallCapacity)
                used = 0
            }
            // Not the buffer: whoever waits for another one below must be able to let go of it.
            guard let memory = buffer?.memory else { continue }
            progress.begin(item.entry.path)
            var entry = item.entry
            do {
                let space = UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + wanted])
                let count = try await meter.measure { try await source.read(&entry, into: space) }
                guard let count, let current = buffer else {
                    // Grown, or with holes: read it as a file of unknown length.
                    output.yield(ReadBatch(batch: batch.number, part: part, isLast: false, files: files))
                    files = []
                    buffer = nil
                    part = try await readLarge(item, batch: batch.number, firstPart: part + 1, isLast: false)
                    continue
                }
                let bytes = BufferSlice(buffer: current, range: used..<used + count)
                progress.read(bytes: count)
                files.append(
                    FilePart(
                        entry: entry,
                        charge: item.charge,
                        pieces: pieces(of: bytes),
                        end: .read(
                            size: UInt64(count),
                            changed: entry.changedWhileRead && !item.entry.changedWhileRead
                        )
                    )
                )
                // Aligned: hashing and comparing run faster.
                used += (count + 63) & ~63
            } catch let error as HawserError {
                files.append(FilePart(entry: entry, charge: item.charge, end: .failed(error)))
            }
        }
        output.yield(ReadBatch(batch: batch.number, part: part, isLast: true, files: files))
    }

    /// A whole file in memory.
    private func pieces(of bytes: BufferSlice) -> [RawExtent] {
        if bytes.range.isEmpty { return [] }
        if bytes.range.count <= Entry.inlineLimit {
            return [.inline(bytes.withUnsafeBytes { Array($0) })]
        }
        if bytes.range.count <= smallestCut { return [.chunk(bytes)] }
        var chunker = chunker
        var pieces: [RawExtent] = []
        var start = bytes.range.lowerBound
        while start < bytes.range.upperBound {
            let rest = BufferSlice(buffer: bytes.buffer, range: start..<bytes.range.upperBound)
            let length = rest.withUnsafeBytes { chunker.cut($0) } ?? rest.range.count
            pieces.append(.chunk(BufferSlice(buffer: bytes.buffer, range: start..<start + length)))
            start += length
        }
        return pieces
    }

    // MARK: One file in many buffers

    /// - Returns: the number of the part that follows.
    @discardableResult
    private func readLarge(
        _ item: WalkItem,
        batch: Int,
        firstPart: Int = 0,
        isLast: Bool = true
    ) async throws -> Int {
        progress.begin(item.entry.path)
        var writer = PartWriter(batch: batch, part: firstPart, entry: item.entry, charge: item.charge, output: output)
        do {
            let file = try await source.open(item.entry)
            defer { file.close() }
            let entry = try await file.status()
            writer.entry = entry
            var scan = FileScan(file: file, chunker: chunker)
            if !file.mayHaveHoles { scan.dataEnd = .max }
            // What a checkpoint has is of the state that the walk saw.
            if case .reading(let resume?) = item.content, entry.hasStatus(of: item.entry) {
                scan.offset = resume.offset
                try await takeKnown(resume, &writer)
            }
            while try await readBlock(&scan, &writer) {}
            let changed = try await !file.isUnchanged(since: entry) && !entry.changedWhileRead
            writer.finish(.read(size: scan.offset, changed: changed), isLast: isLast)
        } catch let error as HawserError {
            writer.finish(.failed(error), isLast: isLast)
        }
        return writer.part
    }

    /// Hands on what is known, in batches that each hold a buffer until they are through.
    private func takeKnown(_ resume: ResumePoint, _ writer: inout PartWriter) async throws {
        let reader = BlobReader(repository)
        try await repository.forEachExtent(of: resume.content, reader: reader) { extent in
            writer.pieces.append(.known(extent))
            guard writer.pieces.count >= Self.knownLimit else { return }
            writer.flush(holding: try await pool.take(capacity: ReadBufferPool.smallCapacity))
        }
    }

    /// Extents of 48 bytes, in a read buffer's room with what becomes of them.
    private static let knownLimit = 4 << 10

    /// - Returns: false at the end of the file.
    private func readBlock(_ scan: inout FileScan, _ writer: inout PartWriter) async throws -> Bool {
        if scan.offset >= scan.dataEnd {
            guard let data = try await scan.file.nextData(from: scan.offset) else {
                let size = try await scan.file.status().size
                writer.appendHole(from: scan.offset, to: size)
                scan.offset = max(size, scan.offset)
                return false
            }
            writer.appendHole(from: scan.offset, to: data.lowerBound)
            // A source of one's own may give a stretch that has begun before.
            scan.offset = max(scan.offset, data.lowerBound)
            scan.dataEnd = data.upperBound
        }
        let buffer = try await pool.take(capacity: pool.largeCapacity)
        let carried = scan.carry.count
        scan.carry.withUnsafeBytes { buffer.memory.copyMemory(from: $0) }
        scan.carry = []
        let wanted = Int(min(UInt64(buffer.memory.count - carried), scan.dataEnd - scan.offset))
        let space = UnsafeMutableRawBufferPointer(rebasing: buffer.memory[carried..<carried + wanted])
        let count = try await meter.measure { try await scan.file.read(into: space, at: scan.offset) }
        progress.read(bytes: count)
        scan.offset += UInt64(count)
        let filled = carried + count
        var start = 0
        var scanned = carried
        while scanned < filled {
            let rest = UnsafeRawBufferPointer(rebasing: buffer.memory[scanned..<filled])
            guard let length = scan.chunker.cut(rest) else { break }
            scanned += length
            writer.pieces.append(.chunk(BufferSlice(buffer: buffer, range: start..<scanned)))
            start = scanned
        }
        let isEnd = count < wanted
        if isEnd || scan.offset == scan.dataEnd {
            // A hole or the end of the file ends a chunk too.
            if start < filled { writer.pieces.append(.chunk(BufferSlice(buffer: buffer, range: start..<filled))) }
            scan.chunker.reset()
        } else {
            // Copied away before the next buffer is asked for: a reader that waits holds no buffer.
            scan.carry = Array(buffer.memory[start..<filled])
        }
        if !isEnd { writer.flush() }
        return !isEnd
    }
}

/// Where reading of one large file stands.
private struct FileScan {
    let file: any SourceFile
    var chunker: Chunker
    var offset: UInt64 = 0
    /// The end of the stretch of data around `offset`.
    var dataEnd: UInt64 = 0
    /// The beginning of a chunk that is not cut yet.
    var carry: [UInt8] = []

    init(file: any SourceFile, chunker: Chunker) {
        self.file = file
        self.chunker = chunker
    }
}

/// Collects the pieces of one large file and hands them on, a buffer's worth at a time.
private struct PartWriter {
    let batch: Int
    private(set) var part: Int
    var pieces: [RawExtent] = []
    var entry: Entry?
    private let charge: Int
    private let output: AsyncStream<ReadBatch>.Continuation

    init(batch: Int, part: Int, entry: Entry, charge: Int, output: AsyncStream<ReadBatch>.Continuation) {
        self.batch = batch
        self.part = part
        self.entry = entry
        self.charge = charge
        self.output = output
    }

    mutating func appendHole(from start: UInt64, to end: UInt64) {
        if end > start { pieces.append(.known(.hole(length: Int(end - start)))) }
    }

    mutating func flush(holding ballast: ReadBuffer? = nil) {
        emit(end: nil, isLast: false, ballast)
    }

    mutating func finish(_ end: FileEnd, isLast: Bool) {
        emit(end: end, isLast: isLast)
    }

    private mutating func emit(end: FileEnd?, isLast: Bool, _ ballast: ReadBuffer? = nil) {
        let file = FilePart(entry: entry, charge: charge, pieces: pieces, end: end)
        output.yield(ReadBatch(batch: batch, part: part, isLast: isLast, files: [file], ballast: ballast))
        part += 1
        entry = nil
        pieces = []
    }
}

extension Entry {
    fileprivate func hasStatus(of other: Entry) -> Bool {
        size == other.size && modified == other.modified && changed == other.changed && inode == other.inode
    }
}

extension WalkItem {
    var isRead: Bool {
        if case .reading = content { return true }
        return false
    }
}
