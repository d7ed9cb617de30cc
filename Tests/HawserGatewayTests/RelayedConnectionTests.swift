import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import HawserGateway

struct RelayedConnectionTests {
    /// A relayed connection, with the client's and the backend's end.
    private func connected() throws -> (Gate, EmbeddedChannel, Gate.Reads) {
        let gate = try Gate()
        try gate.send(try clientHello("control.test"))
        let backend = EmbeddedChannel(loop: gate.loop)
        let reads = Gate.Reads()
        try backend.pipeline.syncOperations.addHandler(reads)
        try backend.connect(to: SocketAddress(ipAddress: "10.0.0.1", port: 1)).wait()
        gate.dials.withLockedValue { $0.last?.promise }?.succeed(backend)
        gate.loop.run()
        _ = try written(backend)
        return (gate, backend, reads)
    }

    private func ended(_ gate: Gate, _ reason: RelayEnd) -> Double? {
        metric(gate.registry, "hawser_relay_connections_ended_total{reason=\"\(reason.rawValue)\"}")
    }

    @Test func slowClientStopsReadingOfTheBackend() throws {
        let (gate, backend, reads) = try connected()
        #expect(reads.count == 1)
        try backend.writeInbound(ByteBuffer(bytes: [1]))
        #expect(reads.count == 2)
        gate.client.isWritable = false
        gate.client.pipeline.fireChannelWritabilityChanged()
        try backend.writeInbound(ByteBuffer(bytes: [2]))
        #expect(reads.count == 2)
        // The other direction goes on.
        let before = gate.reads.count
        try gate.send([3])
        #expect(gate.reads.count == before + 1)
        gate.client.isWritable = true
        gate.client.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 3)
        #expect(try written(gate.client) == [1, 2])
    }

    @Test func slowBackendStopsReadingOfTheClient() throws {
        let (gate, backend, _) = try connected()
        let before = gate.reads.count
        backend.isWritable = false
        backend.pipeline.fireChannelWritabilityChanged()
        try gate.send([1])
        #expect(gate.reads.count == before)
        backend.isWritable = true
        backend.pipeline.fireChannelWritabilityChanged()
        #expect(gate.reads.count == before + 1)
        #expect(try written(backend) == [1])
    }

    @Test func idleConnectionIsClosed() throws {
        let (gate, backend, _) = try connected()
        gate.loop.advanceTime(by: .seconds(299))
        try backend.writeInbound(ByteBuffer(bytes: [1]))
        gate.loop.advanceTime(by: .seconds(299))
        try gate.send([2])
        gate.loop.advanceTime(by: .seconds(299))
        #expect(gate.client.isActive && backend.isActive)
        // Looked at every 15 s.
        gate.loop.advanceTime(by: .seconds(1 + 15))
        #expect(!gate.client.isActive && !backend.isActive)
        #expect(ended(gate, .idle) == 1)
        #expect(metric(gate.registry, "hawser_relay_connections_relaying") == 0)
        #expect(metric(gate.registry, "hawser_relay_backend_connections{backend=\"\(gate.dialled[0])\"}") == 0)
    }

    @Test func slowReaderIsNotIdle() throws {
        let (gate, backend, _) = try connected()
        gate.client.isWritable = false
        gate.client.pipeline.fireChannelWritabilityChanged()
        gate.loop.advanceTime(by: .seconds(200))
        gate.client.isWritable = true
        gate.client.pipeline.fireChannelWritabilityChanged()
        gate.loop.advanceTime(by: .seconds(200))
        #expect(gate.client.isActive && backend.isActive)
    }

    @Test(arguments: [true, false])
    func errorEndsBoth(atClient: Bool) throws {
        let (gate, backend, _) = try connected()
        (atClient ? gate.client : backend).pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
        gate.loop.run()
        #expect(!gate.client.isActive && !backend.isActive)
        #expect(ended(gate, atClient ? .clientError : .backendError) == 1)
    }

    @Test(arguments: [true, false])
    func closeEndsBoth(atClient: Bool) throws {
        let (gate, backend, _) = try connected()
        (atClient ? gate.client : backend).close(promise: nil)
        gate.loop.run()
        #expect(!gate.client.isActive && !backend.isActive)
        #expect(metric(gate.registry, "hawser_relay_connections_relaying") == 0)
        // Nobody looks after it any more.
        gate.loop.advanceTime(by: .hours(1))
        #expect(RelayEnd.allCases.compactMap { ended(gate, $0) }.reduce(0, +) == 1)
    }

    @Test func readBuffersStaySmallWithIdleConnections() {
        var buffers = ReadBuffers()
        #expect(buffers.buffer(allocator: .init()).capacity == 2048)
        for _ in 0..<10 { _ = buffers.record(actualReadBytes: buffers.buffer(allocator: .init()).capacity) }
        #expect(buffers.buffer(allocator: .init()).capacity == 64 * 1024)
        // Without a size and with growth, a channel keeps only its first buffer.
        #expect(buffers.nextBufferSize() == nil)
        let mayGrow = buffers.record(actualReadBytes: 1)
        #expect(mayGrow)
    }
}
