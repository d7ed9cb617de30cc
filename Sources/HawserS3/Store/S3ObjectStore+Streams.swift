import AsyncHTTPClient
import Crypto
package import HawserFormat
package import HawserStorage
package import NIOCore
import NIOHTTP1
import Synchronization

/// Objects that pass through without ever being in memory as a whole.
extension S3ObjectStore {
    /// As `put`, of bytes that come piece by piece. When `pieces` throws, the upload is broken off before its end, so the
    /// storage keeps nothing of it.
    ///
    /// What is refused only because of how it was asked can't be repeated here: then the error is retryable, and the next
    /// upload is asked in the right way.
    package func put<Pieces: AsyncSequence & Sendable>(
        _ key: ObjectKey,
        length: Int,
        sha256: ObjectName,
        pieces: Pieces
    ) async throws -> PutResult where Pieces.Element == ByteBuffer {
        let isConditional = state.withLock { $0.hasConditionalPuts }
        if !isConditional, let result = try await existing(key, length: length, sha256) { return result }
        do {
            try await perform(
                StreamedPutOperation(
                    key: key,
                    stream: S3StreamedBody(pieces, length: length),
                    sha256: sha256,
                    isConditional: isConditional
                )
            )
            return .created
        } catch let error as HawserError where error.meaning == .exists {
            if let result = try await existing(key, length: length, sha256) { return result }
            throw HawserError(
                .unavailable,
                "The storage says that the object exists, and that it does not.",
                place: key.path,
                cause: error,
                isRetryable: true
            )
        }
    }

    /// What a put of such bytes gives because of what is there; `nil` when nothing is.
    package func existing(_ key: ObjectKey, length: Int, _ sha256: ObjectName) async throws -> PutResult? {
        guard let info = try await head(key) else { return nil }
        guard info.length == length else {
            throw HawserError(
                key.name == nil ? .conflict : .damaged,
                "The storage holds \(info.length) bytes of an object of \(length). Run `hawser check`.",
                place: key.path
            )
        }
        if key.name == nil, try await hash(of: key) != sha256 {
            throw HawserError(.conflict, "Another object of this name exists.", place: key.path)
        }
        return .existed
    }

    private func hash(of key: ObjectKey) async throws -> ObjectName {
        var hasher = SHA256()
        try await open(key, range: nil).read { piece in
            piece.withUnsafeReadableBytes { hasher.update(bufferPointer: $0) }
        }
        return hasher.finalize().withUnsafeBytes { ObjectName($0) }
    }

    /// An object's bytes, to be read as fast as the reader can.
    ///
    /// - Throws: as `get`.
    package func open(_ key: ObjectKey, range: Range<Int>?) async throws -> S3Download {
        let operation = GetOperation(key: key, range: range)
        var remedies = S3Remedies()
        while true {
            let (location, clockAhead) = state.withLock { ($0.location, $0.clockAhead) }
            let (response, signed) = try await transport.open {
                try await self.signed(operation, at: location, clockAhead)
            }
            let head = S3AnswerHead(status: Int(response.status.code), headers: response.headers)
            if head.isSuccess { return S3Download(plan: try operation.plan(head), body: response.body) }
            var reader = S3BodyReader(.beginning(S3Transport.longestError))
            for try await buffer in response.body where try reader.add(buffer.readableBytesView) { break }
            let failure = S3Failure(S3Answer(head: head, body: try reader.finish()))
            do {
                try await mend(failure, operation, signed, location, clockAhead, &remedies)
            } catch let error as HawserError where error.meaning == .noObject {
                throw HawserError(.notFound, "There is no such object.", place: key.path)
            }
        }
    }
}

/// A download that has begun.
package struct S3Download: Sendable {
    /// Bytes that come.
    package let length: Int
    private let skipped: Int
    private let body: HTTPClientResponse.Body

    init(plan: S3BodyPlan, body: HTTPClientResponse.Body) {
        (length, skipped) =
            if case .exactly(let count, let offset, _) = plan { (count, offset) } else { (0, 0) }
        self.body = body
    }

    /// - Throws: `unavailable` when fewer bytes came than the storage said.
    package func read(_ use: (ByteBuffer) async throws -> Void) async throws {
        var (skip, left) = (skipped, length)
        do {
            for try await var buffer in body {
                let dropped = min(skip, buffer.readableBytes)
                buffer.moveReaderIndex(forwardBy: dropped)
                skip -= dropped
                guard buffer.readableBytes > 0, let piece = buffer.readSlice(length: min(left, buffer.readableBytes))
                else { continue }
                left -= piece.readableBytes
                try await use(piece)
                if left == 0 { break }
            }
        } catch {
            try Task.checkCancellation()
            throw transportError(error)
        }
        guard left == 0 else {
            throw HawserError(
                .unavailable,
                "The storage's answer ended after \(length - left) of \(length) bytes.",
                isRetryable: true
            )
        }
    }
}
