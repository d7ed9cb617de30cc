#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Packs chunks, one byte for the method and then the payload, and unpacks them.
///
/// One for each worker: its contexts and memory are reused, so that nothing is allocated in the steady state.
public final class Compressor {
    /// The first byte of packed bytes.
    enum Marker: UInt8 {
        case stored = 0
        case lz4 = 1
        case zstd = 2
    }

    /// How much longer than the chunk packed bytes can be.
    public static let overhead = 1
    /// Plain lengths have 24 bits in index records.
    static let plainLimit = 1 << 24 - 1

    public let method: CompressionMethod
    private lazy var zstd = ZstdEncoder(method: method)
    private lazy var zstdDecoder = ZstdDecoder()
    private lazy var lz4 = LZ4Encoder()
    private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    public init(method: CompressionMethod) {
        self.method = method
    }

    deinit {
        scratch.deallocate()
    }

    /// Replaces `output` with the packed bytes of `plain`; stored as it is where compression does not save 1/128.
    public func compress(_ plain: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        output.removeAll(keepingCapacity: true)
        output.append(addingCapacity: plain.count + Self.overhead) { span in
            span.withUnsafeMutableBufferPointer { bytes, count in
                let bytes = UnsafeMutableRawBufferPointer(bytes)
                let payload = UnsafeMutableRawBufferPointer(rebasing: bytes[Self.overhead...])
                // Less is not worth the time that unpacking takes.
                let limit = plain.count - max(1, plain.count / 128)
                let room = UnsafeMutableRawBufferPointer(rebasing: payload[..<max(0, limit)])
                if let (marker, length) = attempt(plain, into: room) {
                    bytes[0] = marker.rawValue
                    count = Self.overhead + length
                } else {
                    bytes[0] = Marker.stored.rawValue
                    payload.copyMemory(from: plain)
                    count = Self.overhead + plain.count
                }
            }
        }
    }

    private func attempt(
        _ plain: UnsafeRawBufferPointer,
        into room: UnsafeMutableRawBufferPointer
    ) -> (Marker, length: Int)? {
        guard !room.isEmpty else { return nil }
        switch method {
        case .off: return nil
        case .lz4: return lz4.compress(plain, into: room).map { (.lz4, $0) }
        case .auto, .zstd:
            // zstd is its own probe: it goes through random bytes at 4 GB/s and through archives at 1 GB/s, and finds what
            // samples don't, such as repetitions far apart.
            return zstd.compress(plain, into: room).map { (.zstd, $0) }
        }
    }

    /// Replaces `output` with the plain bytes of `packed`.
    ///
    /// - Throws: `damaged` unless they are exactly `plainLength` bytes.
    public func decompress(_ packed: UnsafeRawBufferPointer, plainLength: Int, into output: inout [UInt8]) throws {
        output.removeAll(keepingCapacity: true)
        guard 0...Self.plainLimit ~= plainLength else { throw Self.damaged }
        try output.append(addingCapacity: plainLength) { (span: inout OutputSpan<UInt8>) throws(HawserError) in
            try span.withUnsafeMutableBufferPointer { bytes, count throws(HawserError) in
                let target = UnsafeMutableRawBufferPointer(bytes)
                try unpack(packed, into: UnsafeMutableRawBufferPointer(rebasing: target[..<plainLength]))
                count = plainLength
            }
        }
    }

    /// Whether `packed` unpacks to `plain`: the check right after packing, in memory of this compressor's own.
    ///
    /// - Throws: `damaged` if it does not unpack to as many bytes.
    public func matches(_ packed: UnsafeRawBufferPointer, plain: UnsafeRawBufferPointer) throws -> Bool {
        if packed.first == Marker.stored.rawValue {
            return Self.isEqual(UnsafeRawBufferPointer(rebasing: packed[Self.overhead...]), plain)
        }
        let scratch = UnsafeMutableRawBufferPointer(rebasing: scratch(atLeast: plain.count)[..<plain.count])
        try unpack(packed, into: scratch)
        return Self.isEqual(UnsafeRawBufferPointer(scratch), plain)
    }

    private func unpack(
        _ packed: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) throws(HawserError) {
        guard let marker = packed.first.flatMap(Marker.init(rawValue:)) else { throw Self.damaged }
        let payload = UnsafeRawBufferPointer(rebasing: packed[Self.overhead...])
        let isWhole: Bool
        switch marker {
        case .stored:
            isWhole = payload.count == output.count
            if isWhole { output.copyMemory(from: payload) }
        case .lz4: isWhole = LZ4Encoder.decompress(payload, into: output)
        case .zstd: isWhole = zstdDecoder.decompress(payload, into: output)
        }
        guard isWhole else { throw Self.damaged }
    }

    private static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        guard let first = left.baseAddress, let second = right.baseAddress else { return true }
        return memcmp(first, second, left.count) == 0
    }

    private static var damaged: HawserError {
        HawserError(.damaged, "A chunk does not decompress to its length: its bytes were changed.")
    }

    private func scratch(atLeast count: Int) -> UnsafeMutableRawBufferPointer {
        if scratch.count < count {
            scratch.deallocate()
            // Whole steps of 64 KiB, so that chunks of slightly different lengths share it. 64 is a cache line.
            scratch = .allocate(byteCount: (count + 0xffff) & ~0xffff, alignment: 64)
        }
        return scratch
    }
}
