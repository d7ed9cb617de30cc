import Crypto
import HawserFormat
import NIOCore
import Synchronization

/// The body of an upload on its way through: hashed as it passes, at the tenant's rate, and with its last bytes held back
/// until length and hash agree. When they don't, it throws in their place, so the storage never sees the end.
struct GuardedBody<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element == ByteBuffer {
    /// What was wrong with it, for who sees only a broken upload.
    final class Verdict: Sendable {
        private let state = Mutex<(error: HawserError?, isWhole: Bool)>((nil, false))

        var error: HawserError? { state.withLock { $0.error } }
        /// Whether the last bytes have gone on.
        var isWhole: Bool { state.withLock { $0.isWhole } }

        fileprivate func pass() { state.withLock { $0.isWhole = true } }

        fileprivate func refuse(_ message: String) -> HawserError {
            note(HawserError(.invalidArgument, message))
        }

        fileprivate func note(_ error: HawserError) -> HawserError {
            state.withLock { $0.error = error }
            return error
        }
    }

    // Enough that no storage takes what came for the whole, little enough to be held for each of hundreds of uploads.
    static var heldBack: Int { 64 << 10 }

    let base: Base
    let length: Int
    let sha256: ObjectName
    let verdict = Verdict()
    /// Called for each piece: waits for the tenant's rate, and throws when the mover was stopped.
    let pass: @Sendable (_ bytes: Int) async throws -> Void

    typealias Failure = any Error

    func makeAsyncIterator() -> Iterator { Iterator(body: self, base: base.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        let body: GuardedBody
        var base: Base.AsyncIterator
        private var hasher = SHA256()
        private var held: [ByteBuffer] = []
        private var heldCount = 0
        private var count = 0
        private var isOver = false

        init(body: GuardedBody, base: Base.AsyncIterator) {
            self.body = body
            self.base = base
        }

        mutating func next() async throws -> ByteBuffer? {
            try await next(isolation: #isolation)
        }

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
            if isOver { return held.isEmpty ? nil : held.removeFirst() }
            while let piece = try await nextPiece(actor) {
                count += piece.readableBytes
                guard count <= body.length else {
                    throw body.verdict.refuse("The body is longer than it was announced.")
                }
                do {
                    try await body.pass(piece.readableBytes)
                } catch let error as HawserError {
                    throw body.verdict.note(error)
                }
                piece.withUnsafeReadableBytes { hasher.update(bufferPointer: $0) }
                hold(piece)
                if heldCount - held[0].readableBytes >= GuardedBody.heldBack {
                    heldCount -= held[0].readableBytes
                    return held.removeFirst()
                }
            }
            guard count == body.length else {
                throw body.verdict.refuse("The body is shorter than it was announced.")
            }
            guard hasher.finalize().withUnsafeBytes({ ObjectName($0) }) == body.sha256 else {
                throw body.verdict.refuse("The body has another SHA-256 than was announced.")
            }
            isOver = true
            body.verdict.pass()
            return held.isEmpty ? nil : held.removeFirst()
        }

        private mutating func hold(_ piece: ByteBuffer) {
            heldCount += piece.readableBytes
            // Each keeps all that was read with it: of very small ones there would be thousands.
            if let last = held.indices.last, held[last].readableBytes + piece.readableBytes <= GuardedBody.heldBack {
                held[last].writeImmutableBuffer(piece)
            } else {
                held.append(piece)
            }
        }

        private mutating func nextPiece(_ actor: isolated (any Actor)?) async throws -> ByteBuffer? {
            do {
                return try await base.next(isolation: actor)
            } catch is CancellationError {
                // It ended at the other side.
                throw CancellationError()
            } catch {
                throw body.verdict.refuse("The upload broke off.")
            }
        }
    }
}
