import NIOCore

/// Sizes of read buffers that follow the amount that comes, without a buffer that stays with an idle connection.
///
/// NIO keeps the buffer of a channel's last read to reuse it if the allocator names its size: with NIO's own allocator a
/// connection that was fast once would hold 64 KiB at each end for as long as it idles. This one names no size and says each
/// time that the next buffer may be another, so only the first one stays (2 KiB). What it costs is one `malloc` a read.
struct ReadBuffers: RecvByteBufferAllocator {
    private var sizes = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 64 * 1024)

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { sizes.buffer(allocator: allocator) }

    func nextBufferSize() -> Int? { nil }

    mutating func record(actualReadBytes: Int) -> Bool {
        _ = sizes.record(actualReadBytes: actualReadBytes)
        return true
    }
}
