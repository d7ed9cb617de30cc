internal import CLZ4

/// liblz4's block compressor with its state reused.
final class LZ4Encoder {
    private let state: UnsafeMutableRawPointer

    init() {
        // The state is an array of 64-bit words.
        state = .allocate(byteCount: Int(LZ4_sizeofState()), alignment: 8)
    }

    deinit {
        state.deallocate()
    }

    /// The length of one LZ4 block, or `nil` if it does not fit into `output`.
    func compress(_ plain: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard let source = plain.baseAddress, let target = output.baseAddress,
            let count = Int32(exactly: plain.count), let capacity = Int32(exactly: output.count)
        else { return nil }
        let result = LZ4_compress_fast_extState(state, source, target, count, capacity, 1)
        return result > 0 ? Int(result) : nil
    }

    /// Whether `block` decompresses to exactly as many bytes as `output` has.
    static func decompress(_ block: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard let source = block.baseAddress, let target = output.baseAddress,
            let count = Int32(exactly: block.count), let capacity = Int32(exactly: output.count)
        else { return false }
        return LZ4_decompress_safe(source, target, count, capacity) == capacity
    }
}
