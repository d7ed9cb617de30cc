import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HawserS3
import HawserStorage
import HummingbirdCore
import NIOCore

extension GatewayService {
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
        return try await slots.withSlot(of: mover.order, connection.channel) {
            let watch = ClientWatch()
            let watching = watch.start(connection.channel)
            defer { watching.cancel() }
            let result = try await store(key, length, sha256, mover, request.body, watch)
            return GatewayAnswer(result == .created ? .created : .ok)
        }
    }

    private func store(
        _ key: ObjectKey,
        _ length: Int,
        _ sha256: ObjectName,
        _ mover: TargetMover,
        _ bytes: RequestBody,
        _ watch: ClientWatch
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
            try await mover.pass(count)
            metrics.received(count)
        }
        do {
            let result = try await Self.pass(bytes, through: pieces, watch) {
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
        _ watch: ClientWatch,
        _ upload: @escaping @Sendable () async throws -> PutResult
    ) async throws -> PutResult {
        try await withThrowingTaskGroup(of: PutResult.self) { group in
            group.addTask {
                // Who still waits for a piece must not take this for the end of the body.
                defer { pieces.end(CancellationError()) }
                return try await upload()
            }
            do {
                watch.begin()
                for try await piece in bytes {
                    watch.end(piece.readableBytes)
                    guard await pieces.send(piece) else { break }
                    watch.begin()
                }
                // What takes time now is the storage.
                watch.end(0)
                pieces.end()
            } catch {
                pieces.end(error)
            }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
