import Hawser

/// Writes what a snapshot holds as a stream: one file's bytes, or many entries as an archive.
struct Dump: Sendable {
    let repository: Repository
    let output: OutputFile

    /// Zeros are written in pieces of this size, bytes.
    private static let zeroPiece = 1 << 20

    func run(_ snapshot: Snapshot, _ path: EntryPath) async throws {
        let scope = path.isRoot ? PathScope.all : PathScope(subtrees: [path])
        var entries = repository.entries(of: snapshot.root, in: scope).makeAsyncIterator()
        let reader = BlobReader(repository)
        guard let first = try await entries.next() else {
            throw HawserError(.notFound, "The snapshot does not have this path.", place: path.description)
        }
        switch first.kind {
        case .file: try await writeContent(of: first, reader)
        case .directory: try await archive(first, &entries, reader)
        default:
            throw HawserError(.invalidArgument, "Only files and folders can be dumped.", place: path.description)
        }
    }

    private func archive(
        _ first: Entry,
        _ entries: inout TreeEntries.AsyncIterator,
        _ reader: BlobReader
    ) async throws {
        var order = ArchiveOrder()
        /// The first name of each file with several hard links.
        var linked: [UInt64: EntryPath] = [:]
        var next: Entry? = first
        while let entry = next {
            try Task.checkCancellation()
            while let folder = order.next(before: entry.path.parent) { try await add(folder, reader) }
            if entry.kind == .directory {
                order.add(entry)
            } else {
                let link = entry.linkGroup.flatMap { linked[$0] }
                if link == nil, let group = entry.linkGroup { linked[group] = entry.path }
                try await add(entry, linkedTo: link, reader)
            }
            next = try await entries.next()
        }
        while let folder = order.next(before: nil) { try await add(folder, reader) }
        try output.write(TarArchive.end)
    }

    private func add(_ found: Entry, linkedTo link: EntryPath? = nil, _ reader: BlobReader) async throws {
        var entry = found
        if entry.path.isRoot { return }
        if entry.kind == .socket {
            Console.shared.warning("left out, since tar has no sockets: " + displayText(entry.path.absoluteBytes))
            return
        }
        if let blob = entry.attributeBlob {
            entry.attributes = try AttributeBlob.decode(await reader.read(blob, type: .attribute))
        }
        let map = link == nil && entry.kind == .file ? try await map(of: entry, reader) : nil
        try output.write(TarArchive.header(of: entry, linkedTo: link, sparse: map))
        if link == nil, entry.kind == .file {
            if let map { try await write(map, of: entry, reader) }
            try await writeContent(of: entry, reader, holes: map == nil)
            try output.write(TarArchive.padding(after: map?.storedLength ?? entry.size))
        }
    }

    /// `nil` for a file without holes that an archive can tell.
    private func map(of entry: Entry, _ reader: BlobReader) async throws -> SparseMap? {
        var map = SparseMap()
        try await repository.forEachExtent(of: entry.content, reader: reader) { _ = map.take($0) }
        guard map.isUsable else { return nil }
        _ = map.finish()
        return map
    }

    /// Goes through the extents again instead of keeping them: there can be any number.
    private func write(_ map: SparseMap, of entry: Entry, _ reader: BlobReader) async throws {
        var lines = map.firstLine
        var again = SparseMap()
        try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
            if let stretch = again.take(extent) { lines += SparseMap.lines(stretch) }
            if lines.count > Self.linesLimit {
                try output.write(lines)
                lines.removeAll(keepingCapacity: true)
            }
        }
        if let stretch = again.finish() { lines += SparseMap.lines(stretch) }
        try output.write(lines + TarArchive.padding(after: map.length))
    }

    /// Bytes that are gathered for one call.
    private static let linesLimit = 64 << 10

    /// - Parameter holes: whether they are written, as zeros.
    private func writeContent(of entry: Entry, _ reader: BlobReader, holes: Bool = true) async throws {
        var rest = entry.size
        func take(_ count: Int) throws {
            guard UInt64(count) <= rest else { throw Self.lengthDiffers(entry) }
            rest -= UInt64(count)
        }
        if case .inline(let bytes) = entry.content {
            try take(bytes.count)
            try output.write(bytes)
        }
        try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
            try Task.checkCancellation()
            try take(extent.length)
            switch extent {
            case .data(let id, let length):
                let bytes = try await reader.read(id, type: .data)
                guard bytes.count == length else { throw Self.lengthDiffers(entry) }
                try output.write(bytes)
            case .hole where !holes: break
            case .zero(let length), .hole(let length):
                var left = length
                while left > 0 {
                    try output.write([UInt8](repeating: 0, count: min(left, Self.zeroPiece)))
                    left -= min(left, Self.zeroPiece)
                }
            }
        }
        guard rest == 0 else { throw Self.lengthDiffers(entry) }
    }

    private static func lengthDiffers(_ entry: Entry) -> HawserError {
        HawserError(.damaged, "The content is not as long as its entry says.", place: entry.path.description)
    }
}
