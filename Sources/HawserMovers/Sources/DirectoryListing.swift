import CHawser
import Glibc
import HawserFormat

/// The names of one directory in byte order: one block of bytes and 16 bytes a name.
struct DirectoryListing: Sendable {
    private struct Slot {
        /// The name's first 8 bytes, most significant first: decides most comparisons.
        var prefix: UInt64
        var offset: UInt32
        var length: UInt16
    }

    /// Each followed by a NUL.
    private var names: [UInt8] = []
    private var slots: [Slot] = []

    var count: Int { slots.count }

    init() {}

    /// Reads the directory to its end, or returns `nil` when it has more than `limit` names.
    init?(_ directory: DirectoryHandle, limit: Int = .max) throws(CallFailure) {
        // A few hundred names a call; half of glibc's threshold for mmap, so that it is reused memory.
        let size = 1 << 15
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            let filled = hawser_read_directory(directory.descriptor, buffer.baseAddress, size)
            if filled < 0 { throw CallFailure(code: Int32(truncatingIfNeeded: -filled)) }
            if filled == 0 { break }
            try append(records: UnsafeRawBufferPointer(rebasing: buffer[..<min(filled, size)]))
            if count > limit { return nil }
        }
        sort()
    }

    private mutating func append(records: UnsafeRawBufferPointer) throws(CallFailure) {
        // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name and NUL.
        let nameOffset = 19
        var start = 0
        while start + nameOffset < records.count {
            let length = Int(records.loadUnaligned(fromByteOffset: start + 16, as: UInt16.self))
            guard length > nameOffset, start + length <= records.count else { throw CallFailure(code: EIO) }
            let record = UnsafeRawBufferPointer(rebasing: records[(start + nameOffset)..<(start + length)])
            if let end = record.firstIndex(of: 0) {
                try append(UnsafeRawBufferPointer(rebasing: record[..<end]))
            }
            start += length
        }
    }

    mutating func append(_ name: ArraySlice<UInt8>) throws(CallFailure) {
        let result: Result<Void, CallFailure> = name.withUnsafeBytes { name in
            Result { () throws(CallFailure) in try append(name) }
        }
        try result.get()
    }

    private mutating func append(_ name: UnsafeRawBufferPointer) throws(CallFailure) {
        let dot = UInt8(ascii: ".")
        if name.isEmpty || name[0] == dot && (name.count == 1 || name.count == 2 && name[1] == dot) { return }
        // 4 GiB of names: more than the memory of any backup would hold.
        guard let offset = UInt32(exactly: names.count), let length = UInt16(exactly: name.count) else {
            throw CallFailure(code: EFBIG)
        }
        var prefix: UInt64 = 0
        for index in 0..<min(8, name.count) { prefix |= UInt64(name[index]) << UInt64(56 - 8 * index) }
        slots.append(Slot(prefix: prefix, offset: offset, length: length))
        names.append(contentsOf: name)
        names.append(0)
    }

    private mutating func sort() {
        names.withUnsafeBytes { names in
            slots.withUnsafeMutableBufferPointer { slots in
                slots.sort { left, right in
                    if left.prefix != right.prefix { return left.prefix < right.prefix }
                    let leftName = names[Int(left.offset)..<(Int(left.offset) + Int(left.length) + 1)]
                    let rightName = names[Int(right.offset)..<(Int(right.offset) + Int(right.length) + 1)]
                    guard let left = UnsafeRawBufferPointer(rebasing: leftName).baseAddress,
                        let right = UnsafeRawBufferPointer(rebasing: rightName).baseAddress
                    else { return false }
                    // The NUL ends the comparison at the shorter name.
                    return memcmp(left, right, min(leftName.count, rightName.count)) < 0
                }
            }
        }
    }

    /// `body` gets the name with its NUL behind it, outside of the count.
    func withName<Result, Failure: Error>(
        _ index: Int,
        _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let slot = slots[index]
        return try names.withUnsafeBufferPointer { names throws(Failure) in
            try body(UnsafeBufferPointer(rebasing: names[Int(slot.offset)..<(Int(slot.offset) + Int(slot.length))]))
        }
    }

    func name(_ index: Int) -> [UInt8] {
        withName(index) { Array($0) }
    }

    func index(of name: [UInt8]) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if withName(middle, { $0.lexicographicallyPrecedes(name) }) { low = middle + 1 } else { high = middle }
        }
        return low < count && withName(low) { $0.elementsEqual(name) } ? low : nil
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// For system calls; the caller guarantees the NUL behind the last byte.
    func withCString<Result, Failure: Error>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard let baseAddress else { return try body(FileCalls.emptyName) }
        return try body(UnsafeRawPointer(baseAddress).assumingMemoryBound(to: CChar.self))
    }
}

/// Calls `body` with `bytes` and a NUL.
func withNullTerminated<Result, Failure: Error>(
    _ bytes: some Collection<UInt8>,
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
) throws(Failure) -> Result {
    var copy = Array(bytes)
    copy.append(0)
    return try copy.withUnsafeBufferPointer { buffer throws(Failure) in try buffer.withCString(body) }
}
