import HummingbirdCore
import NIOCore

/// A request's body on its way in. All that handles it is `@concurrent`, as Hummingbird's iterators are: they can't be sent
/// from one isolation to another.
struct IncomingBody {
    private var parts: RequestBody.AsyncIterator
    private let effects: FaultEffects
    /// Bytes.
    private(set) var received = 0

    init(_ body: RequestBody, _ effects: FaultEffects) {
        parts = body.makeAsyncIterator()
        self.effects = effects
    }

    @concurrent
    mutating func next() async throws -> ByteBuffer? {
        guard let part = try await parts.next() else { return nil }
        received += part.readableBytes
        try await effects.receive(received)
        return part
    }

    /// The rest of it.
    @concurrent
    mutating func collect(upTo limit: Int) async throws -> ByteBuffer {
        var collected = ByteBuffer()
        while var part = try await next() {
            guard collected.readableBytes + part.readableBytes <= limit else {
                throw ServiceError(400, "MaxMessageLengthExceeded", "Your request was too big.")
            }
            collected.writeBuffer(&part)
        }
        return collected
    }
}
