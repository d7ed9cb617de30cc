import NIOCore

extension Channel {
    /// Of what waits to be written to one end: reading from the other one stops above the upper mark and begins again below
    /// the lower one. With one read (64 KiB at most) on top, that is what one direction can hold.
    private static var waterMark: ChannelOptions.Types.WriteBufferWaterMark { .init(low: 32 * 1024, high: 64 * 1024) }

    /// Of both ends, set on the event loop at once: a bootstrap would make a future of each.
    func setRelayOptions() throws {
        guard let options = syncOptions else { return }
        try options.setOption(.autoRead, value: false)
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.writeBufferWaterMark, value: Self.waterMark)
        try options.setOption(.recvAllocator, value: ReadBuffers())
    }
}
