import CHawser
import Crypto
import Glibc
import HawserFormat

/// One file of index records in ascending order with a Bloom filter behind them, memory-mapped: what the local cache
/// is made of, so that an index of any size costs the process next to no memory of its own.
///
/// Every 4 KiB page carries a keyed checksum, checked when the page is first used: a wrong bit in the cache could
/// otherwise make a backup believe that a chunk is stored. Layout: a header page, record pages, filter pages.
final class IndexRun: @unchecked Sendable {
    // Unchecked: `checked` is all that changes. Whoever looks up does so alone, `ChunkIndex` under its lock; a `Cursor`
    // leaves it alone.

    let recordCount: Int

    private let layout: IndexRunLayout
    private let base: UnsafeRawPointer
    private let mappedLength: Int
    private let seal: PageSeal
    /// A bit for every page that has been checked.
    private var checked: [UInt64]

    /// Maps the run in `descriptor`, which may be closed afterwards.
    ///
    /// - Throws: `damaged` when the file is not a whole run sealed under `key`.
    init(descriptor: CInt, key: SymmetricKey) throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= PageSeal.pageSize else {
            throw HawserError(.damaged, "The cached index is too short.")
        }
        let length = Int(status.st_size)
        guard let address = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
            throw HawserError(.fileSystem, "The cached index can't be mapped: \(String(cString: strerror(errno))).")
        }
        base = UnsafeRawPointer(address)
        mappedLength = length
        do {
            let header = UnsafeRawBufferPointer(start: base, count: PageSeal.pageSize)
            layout = try IndexRunLayout(header: header)
            seal = PageSeal(key: key, nonce: layout.nonce)
            guard length == layout.pageCount * PageSeal.pageSize, seal.isValid(header, number: 0) else {
                throw HawserError(.damaged, "The cached index has a wrong header.")
            }
        } catch {
            munmap(address, length)
            throw error
        }
        recordCount = layout.recordCount
        checked = Array(repeating: 0, count: layout.pageCount / 64 + 1)
        // Look-ups jump about: reading ahead would only fill memory.
        madvise(address, length, MADV_RANDOM)
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: base), mappedLength)
    }

    /// Calls `visit` with each record of `id` until it returns true.
    func find(_ id: ChunkID, _ visit: (IndexRecord) -> Bool) throws {
        guard recordCount > 0, try mayContain(id) else { return }
        var position = try lowerBound(id)
        while position < recordCount {
            let bytes = try bytes(at: position)
            guard IndexRecord.id(at: bytes) == id, let record = IndexRecord(at: bytes), !visit(record) else { return }
            position += 1
        }
    }

    /// Where the first record of `id` is.
    func firstPosition(of id: ChunkID) throws -> Int? {
        guard recordCount > 0, try mayContain(id) else { return nil }
        let position = try lowerBound(id)
        guard position < recordCount, try IndexRecord.id(at: bytes(at: position)) == id else { return nil }
        return position
    }

    func record(at position: Int) throws -> IndexRecord {
        guard let record = try IndexRecord(at: bytes(at: position)) else {
            throw HawserError(.damaged, "The cached index holds something else than chunks.")
        }
        return record
    }

    private func bytes(at position: Int) throws -> UnsafeRawPointer {
        let page = try page(1 + position / IndexRunLayout.recordsPerPage)
        return page + position % IndexRunLayout.recordsPerPage * IndexRecord.byteCount
    }

    func checkAllPages() throws {
        for number in 0..<layout.pageCount { _ = try page(number) }
    }

    private func page(_ number: Int) throws -> UnsafeRawPointer {
        if checked[number >> 6] & (1 << UInt64(number & 63)) != 0 { return base + number * PageSeal.pageSize }
        let start = try checkedPage(number)
        checked[number >> 6] |= 1 << UInt64(number & 63)
        return start
    }

    private func checkedPage(_ number: Int) throws -> UnsafeRawPointer {
        let start = base + number * PageSeal.pageSize
        guard seal.isValid(UnsafeRawBufferPointer(start: start, count: PageSeal.pageSize), number: number) else {
            throw HawserError(.damaged, "A page of the cached index is damaged.")
        }
        return start
    }

    private func mayContain(_ id: ChunkID) throws -> Bool {
        let slot = layout.filterSlot(id)
        let block = try page(slot.page) + slot.offset
        return IndexRunLayout.filterMask(id).allSet(in: block)
    }

    /// Interpolation between bounds, since ids are evenly distributed, turned to bisection when it makes no progress.
    private func lowerBound(_ id: ChunkID) throws -> Int {
        var low = 0
        var high = recordCount
        var lowValue: UInt64 = 0
        var highValue = UInt64.max
        var guesses = 0
        while low < high {
            let middle: Int
            // Eight interpolations bring any even distribution down to a handful of records.
            if guesses < 8, highValue > lowValue, id.prefix64 >= lowValue {
                let share = Double(min(id.prefix64, highValue) - lowValue) / Double(highValue - lowValue)
                middle = min(high - 1, low + Int(share * Double(high - low)))
            } else {
                middle = low + (high - low) / 2
            }
            guesses += 1
            let found = try IndexRecord.id(at: bytes(at: middle))
            if found < id {
                low = middle + 1
                lowValue = found.prefix64
            } else {
                high = middle
                highValue = found.prefix64
            }
        }
        return low
    }
}

extension IndexRun {
    /// Reads all records in their order, beside whoever looks up: it checks each page itself when it comes to it.
    struct Cursor {
        private let run: IndexRun
        private var position = 0
        private var page: UnsafeRawPointer?

        init(_ run: IndexRun) {
            self.run = run
        }

        /// - Throws: `damaged`.
        mutating func next() throws -> IndexRecord? {
            guard position < run.recordCount else { return nil }
            let (number, place) = position.quotientAndRemainder(dividingBy: IndexRunLayout.recordsPerPage)
            let current = place > 0 ? page : nil
            let start = try current ?? run.checkedPage(1 + number)
            page = start
            position += 1
            guard let record = IndexRecord(at: start + place * IndexRecord.byteCount) else {
                throw HawserError(.damaged, "The cached index holds something else than chunks.")
            }
            return record
        }
    }
}

/// The keyed checksum at the end of each page.
struct PageSeal {
    static let pageSize = 4096
    static let checksumLength = 16
    static let payloadLength = pageSize - checksumLength

    private let key: SymmetricKey
    private let nonce: [UInt8]

    init(key: SymmetricKey, nonce: [UInt8]) {
        self.key = key
        self.nonce = nonce
    }

    func isValid(_ page: UnsafeRawBufferPointer, number: Int) -> Bool {
        checksum(page, number: number).withUnsafeBytes { sum in
            UnsafeRawBufferPointer(rebasing: sum[..<Self.checksumLength])
                .elementsEqual(UnsafeRawBufferPointer(rebasing: page[Self.payloadLength...]))
        }
    }

    func write(to page: UnsafeMutableRawBufferPointer, number: Int) {
        checksum(UnsafeRawBufferPointer(page), number: number).withUnsafeBytes { sum in
            UnsafeMutableRawBufferPointer(rebasing: page[Self.payloadLength...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: sum[..<Self.checksumLength]))
        }
    }

    private func checksum(_ page: UnsafeRawBufferPointer, number: Int) -> HMAC<SHA256>.MAC {
        var code = HMAC<SHA256>(key: key)
        code.update(data: nonce)
        code.update(data: Swift.withUnsafeBytes(of: UInt64(number).littleEndian) { Array($0) })
        code.update(data: UnsafeRawBufferPointer(rebasing: page[..<Self.payloadLength]))
        return code.finalize()
    }
}
