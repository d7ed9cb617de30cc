import AsyncHTTPClient
import HawserStorage
import NIOCore

/// The body of an upload that comes piece by piece from somewhere else. It can be sent once.
struct S3StreamedBody: Sendable {
    let body: @Sendable (ProgressWatch.Note) -> HTTPClientRequest.Body

    init<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces, length: Int) where Pieces.Element == ByteBuffer {
        body = { note in
            .stream(NotedPieces(base: pieces, note: note), length: .known(Int64(length)))
        }
    }
}

private struct NotedPieces<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element == ByteBuffer {
    let base: Base
    let note: ProgressWatch.Note

    typealias Failure = any Error

    func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator(), note: note) }

    struct Iterator: AsyncIteratorProtocol {
        var base: Base.AsyncIterator
        let note: ProgressWatch.Note

        mutating func next() async throws -> ByteBuffer? {
            try await next(isolation: #isolation)
        }

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
            note()
            return try await base.next(isolation: actor)
        }
    }
}
