import HawserFormat
import HawserRepository

extension RestorePlanner {
    /// Reads every restored file back and compares it and its metadata with the snapshot.
    func verify() async throws {
        let reader = BlobReader(repository)
        try await forEachEntry { entry, isWanted in
            guard isWanted else { return }
            do {
                var entry = entry
                if let blob = entry.attributeBlob {
                    entry.attributes = try AttributeBlob.decode(await reader.read(blob, type: .attribute))
                }
                var found = try tree.differences(from: entry)
                if entry.kind == .file {
                    if !(try await contentIsSame(entry, reader)) { found.append("The content differs.") }
                    counters.add { $0.verified += 1 }
                }
                if !found.isEmpty {
                    problems.add(entry.path, HawserError(.damaged, found.joined(separator: " ")))
                }
            } catch let error as HawserError {
                problems.add(entry.path, error)
            }
        }
    }

    private func contentIsSame(_ entry: Entry, _ reader: BlobReader) async throws -> Bool {
        let file = try tree.openFile(entry.path)
        guard file.size == entry.size else { return false }
        if case .inline(let bytes)? = entry.content {
            return try read(file, at: 0, count: bytes.count) == bytes
        }
        var isSame = true
        var offset: UInt64 = 0
        try await repository.forEachExtent(of: entry.content, reader: reader) { extent in
            switch extent {
            case .data(let id, let length):
                let bytes = try read(file, at: offset, count: length)
                isSame = isSame && bytes.withUnsafeBytes { repository.ids.id(of: $0, type: .data) } == id
            case .zero, .hole:
                isSame = try isSame && isZero(file, at: offset, count: UInt64(extent.length))
            }
            offset += UInt64(extent.length)
        }
        return isSame
    }

    private func read(_ file: RestoredFile, at offset: UInt64, count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        }
    }

    /// Passes over holes, so that a sparse file costs nothing.
    private func isZero(_ file: RestoredFile, at start: UInt64, count: UInt64) throws -> Bool {
        var offset = start
        let end = start + count
        while offset < end {
            guard let data = try file.nextData(from: offset), data.lowerBound < end else { return true }
            offset = max(offset, data.lowerBound)
            let step = Int(min(1 << 20, end - offset))
            if !(try read(file, at: offset, count: step)).allSatisfy({ $0 == 0 }) { return false }
            offset += UInt64(step)
        }
        return true
    }
}
