import Crypto
import Glibc
import HawserFormat

/// Writes an `IndexRun` from records that come in ascending order of their ids.
///
/// The file is made at its final length and filled through a mapping, so that a merge of any size needs no memory of
/// its own: the kernel writes pages out as it likes.
struct IndexRunWriter: ~Copyable {
    private let layout: IndexRunLayout
    private let seal: PageSeal
    private let base: UnsafeMutableRawPointer
    private let descriptor: CInt
    private var written = 0

    /// - Parameters:
    ///   - descriptor: of a file of zeros, as long as `IndexRunLayout.byteCount` says.
    ///   - count: exactly how many records will be appended.
    init(descriptor: CInt, count: Int, key: SymmetricKey) throws {
        layout = IndexRunLayout(recordCount: count, nonce: .random(count: 16))
        seal = PageSeal(key: key, nonce: layout.nonce)
        self.descriptor = descriptor
        let length = layout.pageCount * PageSeal.pageSize
        guard let address = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), address != MAP_FAILED
        else {
            throw HawserError(.fileSystem, "The cached index can't be mapped: \(String(cString: strerror(errno))).")
        }
        base = address
    }

    deinit {
        munmap(base, layout.pageCount * PageSeal.pageSize)
    }

    mutating func append(_ record: IndexRecord) {
        precondition(written < layout.recordCount)
        let page = 1 + written / IndexRunLayout.recordsPerPage
        let offset = written % IndexRunLayout.recordsPerPage * IndexRecord.byteCount
        record.write(to: base + page * PageSeal.pageSize + offset)
        let slot = layout.filterSlot(record.blob.id)
        IndexRunLayout.filterMask(record.blob.id).set(in: base + slot.page * PageSeal.pageSize + slot.offset)
        written += 1
    }

    /// Seals all pages and opens the run for reading.
    consuming func finish(key: SymmetricKey) throws -> IndexRun {
        precondition(written == layout.recordCount)
        layout.headerBytes.withUnsafeBytes { base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        for number in 0..<layout.pageCount {
            let page = UnsafeMutableRawBufferPointer(
                start: base + number * PageSeal.pageSize,
                count: PageSeal.pageSize
            )
            seal.write(to: page, number: number)
        }
        return try IndexRun(descriptor: descriptor, key: key)
    }
}

/// The records of several runs as one ascending sequence.
struct IndexMerge {
    private var cursors: [(run: IndexRun.Cursor, record: IndexRecord)] = []

    init(_ runs: [IndexRun]) throws {
        for run in runs {
            var cursor = IndexRun.Cursor(run)
            if let record = try cursor.next() { cursors.append((cursor, record)) }
        }
    }

    mutating func next() throws -> IndexRecord? {
        // A handful of runs: a scan beats a heap.
        guard let first = cursors.indices.min(by: { cursors[$0].record.blob.id < cursors[$1].record.blob.id }) else {
            return nil
        }
        let record = cursors[first].record
        if let following = try cursors[first].run.next() {
            cursors[first].record = following
        } else {
            cursors.remove(at: first)
        }
        return record
    }
}

extension [UInt8] {
    static func random(count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
