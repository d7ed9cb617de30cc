import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HawserS3
import HawserStorage
import HummingbirdCore
import Logging
import NIOCore

extension GatewayService {
    // An object on a line that is slower than that, over its whole time, gives its place to others.
    private static let slowest = 8 << 10
    private static let extra = TimeAmount.seconds(60)

    func put(
        _ key: ObjectKey,
        _ mover: TargetMover,
        _ request: Request,
        _ connection: ControlConnection
    ) async throws -> GatewayAnswer {
        guard !mover.order.purpose.isReadOnly else {
            throw HawserError(.accessDenied, "A session for `\(mover.order.purpose)` stores nothing.")
        }
        let largest = min(mover.order.largest, maximumObjectLength)
        guard let length = request.headers[.contentLength].flatMap({ Int($0) }), (1...largest).contains(length),
            let sha256 = HTTPField.Name(GatewayAPI.sha256).flatMap({ request.headers[$0] }).flatMap({
                ObjectName(hex: $0)
            })
        else {
            throw HawserError(
                .invalidArgument,
                "An upload has `content-length` (1 to \(largest)) and `\(GatewayAPI.sha256)` (64 hexadecimal digits)."
            )
        }
        try key.check(sha256)
        guard link.isConnected else {
            throw HawserError(.unavailable, "The provider's server can't be reached.", isRetryable: true)
        }
        return try await slots.withSlot(of: mover.order.tenant) {
            let deadline = Self.deadline(length, connection)
            defer { deadline.cancel() }
            let result = try await store(key, length, sha256, mover, request.body)
            return GatewayAnswer(result == .created ? .created : .ok)
        }
    }

    /// Closes the connection when an object of that length takes too long.
    static func deadline(_ length: Int, _ connection: ControlConnection) -> Scheduled<Void> {
        let channel = connection.channel
        return channel.eventLoop.scheduleTask(in: extra + .seconds(Int64(length / slowest))) {
            channel.close(promise: nil)
        }
    }

    private func store(
        _ key: ObjectKey,
        _ length: Int,
        _ sha256: ObjectName,
        _ mover: TargetMover,
        _ bytes: RequestBody
    ) async throws -> PutResult {
        let store = try await mover.store()
        // These can't be told by their names; they are few, and whatever the storage does, none is replaced.
        if key.name == nil, let result = try await store.existing(key, length: length, sha256) { return result }
        let lease: ControlID
        do {
            lease = try await mover.blocks.take(length)
        } catch let error as HawserError where error.code == .quotaExceeded {
            // What is there already costs nothing.
            if let result = try await store.existing(key, length: length, sha256) { return result }
            throw error
        }
        let pieces = PieceChannel()
        let body = GuardedBody(base: pieces, length: length, sha256: sha256) { [metrics] count in
            try mover.check()
            try await mover.throttle.pass(count)
            metrics.received(count)
        }
        do {
            let result = try await Self.pass(bytes, through: pieces) {
                try await store.put(key, length: length, sha256: sha256, pieces: body)
            }
            await mover.blocks.finish(lease, length, isStored: result == .created)
            return result
        } catch {
            // When all has gone on, only the storage knows what came of it; where it does not tell, it counts.
            var isStored = body.verdict.isWhole
            if isStored, let found = try? await store.list(prefix: key.path, after: nil, limit: 1) {
                isStored = found.first?.key == key
            }
            await mover.blocks.finish(lease, length, isStored: isStored)
            throw body.verdict.error ?? error
        }
    }

    /// Reads the request while `upload` takes its pieces, and stops reading when that ends.
    private static func pass(
        _ bytes: RequestBody,
        through pieces: PieceChannel,
        _ upload: @escaping @Sendable () async throws -> PutResult
    ) async throws -> PutResult {
        try await withThrowingTaskGroup(of: PutResult.self) { group in
            group.addTask {
                // Who still waits for a piece must not take this for the end of the body.
                defer { pieces.end(CancellationError()) }
                return try await upload()
            }
            do {
                for try await piece in bytes {
                    guard await pieces.send(piece) else { break }
                }
                pieces.end()
            } catch {
                pieces.end(error)
            }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
