import Glibc
import HawserNetwork
import NIOCore
import NIOEmbedded
import Testing

struct AcceptPauseTests {
    private func listening() throws -> (EmbeddedChannel, () -> [CInt]) {
        let channel = EmbeddedChannel()
        var failures: [CInt] = []
        try channel.pipeline.syncOperations.addHandler(AcceptPauseHandler { failures.append($0.errnoCode) })
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        return (channel, { failures })
    }

    /// An embedded channel answers `true` to the question itself; it remembers what was set, though.
    private func isReading(_ channel: EmbeddedChannel) -> Bool {
        let values = channel.options.filter { $0.option is ChannelOptions.Types.AutoReadOption }.map(\.value)
        return values.last as? Bool ?? true
    }

    @Test(arguments: [EMFILE, ENFILE, ENOMEM, ENOBUFS])
    func pausesWhenResourcesAreGone(code: CInt) throws {
        let (channel, failures) = try listening()
        #expect(isReading(channel))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        #expect(!isReading(channel))
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(249))
        #expect(!isReading(channel))
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(isReading(channel))
        #expect(failures() == [code, code])
    }

    @Test func goesOnAfterAConnectionThatWasGone() throws {
        let (channel, failures) = try listening()
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
        #expect(isReading(channel))
        #expect(failures() == [ECONNABORTED])
    }
}
