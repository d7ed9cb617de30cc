import NIOCore
import Synchronization

/// Hands pieces from who reads a request to who stores it, one at a time: the next is read when the last was taken. The
/// request is read by its own task alone, whatever becomes of the upload.
final class PieceChannel: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    private enum State {
        case empty
        /// The reader has a piece that nobody has taken.
        case offered(ByteBuffer, CheckedContinuation<Bool, Never>)
        /// The writer waits for a piece.
        case wanted(CheckedContinuation<ByteBuffer?, any Error>)
        case ended((any Error)?)
    }

    private let state = Mutex(State.empty)

    /// - Returns: `false` when nobody wants pieces any more.
    func send(_ piece: ByteBuffer) async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: (Bool, CheckedContinuation<ByteBuffer?, any Error>?)? = state.withLock { state in
                switch state {
                case .empty, .offered:
                    state = .offered(piece, continuation)
                    return nil
                case .wanted(let taker):
                    state = .empty
                    return (true, taker)
                case .ended:
                    return (false, nil)
                }
            }
            guard let (isTaken, taker) = answer else { return }
            taker?.resume(returning: piece)
            continuation.resume(returning: isTaken)
        }
    }

    /// No more pieces come, or nobody wants them any more.
    func end(_ error: (any Error)? = nil) {
        let last = state.withLock { state in
            let last = state
            if case .ended = last { return last }
            state = .ended(error)
            return last
        }
        switch last {
        case .offered(_, let sender): sender.resume(returning: false)
        case .wanted(let taker):
            if let error { taker.resume(throwing: error) } else { taker.resume(returning: nil) }
        case .empty, .ended: break
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(channel: self) }

    struct Iterator: AsyncIteratorProtocol {
        let channel: PieceChannel

        mutating func next() async throws -> ByteBuffer? { try await channel.take() }
    }

    private func take() async throws -> ByteBuffer? {
        try await withCheckedThrowingContinuation { continuation in
            enum Answer {
                case piece(ByteBuffer, CheckedContinuation<Bool, Never>)
                case ended((any Error)?)
            }
            let answer: Answer? = state.withLock { state in
                switch state {
                case .empty, .wanted:
                    state = .wanted(continuation)
                    return nil
                case .offered(let piece, let sender):
                    state = .empty
                    return .piece(piece, sender)
                case .ended(let error):
                    return .ended(error)
                }
            }
            switch answer {
            case nil: break
            case .piece(let piece, let sender):
                sender.resume(returning: true)
                continuation.resume(returning: piece)
            case .ended(let error?): continuation.resume(throwing: error)
            case .ended(nil): continuation.resume(returning: nil)
            }
        }
    }
}
