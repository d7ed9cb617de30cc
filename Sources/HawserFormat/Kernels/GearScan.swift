/// The hash after a byte is `(hash before) * 2 + word of the byte`, so it depends on the last 64 bytes only.
enum GearScan {
    /// Older bytes are shifted out of the 64-bit hash.
    static let window = 64

    // The loop-carried addition limits one lane to one byte in two cycles or so. Lanes one stride apart are independent;
    // with a constant stride they need one pointer only. The warm-up of a lane costs window/stride.
    static let lanes = 4
    static let stride = 4096
    static let block = lanes * stride

    /// Hashes `count` bytes and stops after the first byte at which the hash is below `threshold`.
    ///
    /// - Parameter hash: Of the bytes before; at the end, of the last byte looked at (undefined after a hit).
    /// - Returns: How many bytes were taken, including the one at which the hash fell below, or `nil`.
    @inline(__always)
    static func firstBelow(
        _ threshold: UInt64,
        in start: UnsafePointer<UInt8>,
        count: Int,
        table: UnsafePointer<UInt64>,
        hash: inout UInt64
    ) -> Int? {
        var done = 0
        while count - done >= block {
            if let hit = firstBelowInBlock(threshold, in: start + done, table: table, hash: &hash) { return done + hit }
            done += block
        }
        var current = hash
        var pointer = start + done
        let end = start + count
        while pointer < end {
            current = (current << 1) &+ table[Int(pointer.pointee)]
            pointer += 1
            if current < threshold { return pointer - start }
        }
        hash = current
        return nil
    }

    @inline(__always)
    private static func warm(_ end: UnsafePointer<UInt8>, table: UnsafePointer<UInt64>) -> UInt64 {
        var hash: UInt64 = 0
        for offset in -window..<0 { hash = (hash << 1) &+ table[Int(end[offset])] }
        return hash
    }

    /// The four quarters of a block side by side.
    @inline(never)
    private static func firstBelowInBlock(
        _ threshold: UInt64,
        in start: UnsafePointer<UInt8>,
        table: UnsafePointer<UInt64>,
        hash: inout UInt64
    ) -> Int? {
        var hash0 = hash
        var hash1 = warm(start + stride, table: table)
        var hash2 = warm(start + 2 * stride, table: table)
        var hash3 = warm(start + 3 * stride, table: table)
        var pointer = start
        let end = start + stride
        while pointer < end {
            hash0 = (hash0 << 1) &+ table[Int(pointer[0])]
            hash1 = (hash1 << 1) &+ table[Int(pointer[stride])]
            hash2 = (hash2 << 1) &+ table[Int(pointer[2 * stride])]
            hash3 = (hash3 << 1) &+ table[Int(pointer[3 * stride])]
            pointer += 1
            // Four compares and branches that are never taken are cheaper than one of a minimum.
            if hash0 < threshold || hash1 < threshold || hash2 < threshold || hash3 < threshold {
                return settle(threshold, in: start, table: table, hash: hash)
            }
        }
        hash = hash3
        return nil
    }

    /// A lane has a hit, but an earlier lane may have one further on: goes through the block in order.
    @inline(never)
    private static func settle(
        _ threshold: UInt64,
        in start: UnsafePointer<UInt8>,
        table: UnsafePointer<UInt64>,
        hash: UInt64
    ) -> Int? {
        var current = hash
        for offset in 0..<block {
            current = (current << 1) &+ table[Int(start[offset])]
            if current < threshold { return offset + 1 }
        }
        return nil
    }
}
