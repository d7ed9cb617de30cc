import HawserFormat
import NIOCore
import Testing

@testable import HawserGateway

@Suite("The body of an upload")
struct GuardedBodyTests {
    private func pieces(_ bytes: [UInt8], of size: Int) -> AsyncStream<ByteBuffer> {
        AsyncStream { pieces in
            for start in stride(from: 0, to: bytes.count, by: size) {
                pieces.yield(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
            }
            pieces.finish()
        }
    }

    @Test(
        "passes whole, whatever its pieces, and keeps its end back when it is another",
        arguments: [1, 1000, 40_000, 65_536, 100_000, 300_000],
        [1, 65_536, 65_537, 250_000]
    )
    func passes(size: Int, length: Int) async throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        for sha256 in [ObjectName(hashOf: bytes), ObjectName(hashOf: [])] {
            let body = GuardedBody(base: pieces(bytes, of: size), length: length, sha256: sha256) { _ in }
            var passed: [UInt8] = []
            var error: (any Error)?
            do {
                for try await piece in body { passed += piece.readableBytesView }
            } catch let found {
                error = found
            }
            let isRight = sha256 == ObjectName(hashOf: bytes)
            #expect((error == nil) == isRight && body.verdict.isWhole == isRight)
            #expect(bytes.starts(with: passed))
            #expect(
                isRight
                    ? passed.count == length
                    : passed.count <= max(0, length - GuardedBody<AsyncStream<ByteBuffer>>.heldBack)
            )
        }
    }
    @Test(
        "is refused when it has another length than announced, with its end kept back",
        arguments: [1, 40_000, 65_536, 300_000],
        [2, 65_537, 250_000]
    )
    func otherLength(size: Int, length: Int) async throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        for (announced, word) in [(length + 1, "shorter"), (length - 1, "longer")] {
            // Only the length is wrong.
            let sha256 = ObjectName(hashOf: Array(bytes.prefix(announced)))
            let body = GuardedBody(base: pieces(bytes, of: size), length: announced, sha256: sha256) { _ in }
            var passed = 0
            var error: HawserError?
            do {
                for try await piece in body { passed += piece.readableBytes }
            } catch let found as HawserError {
                error = found
            }
            #expect(error?.code == .invalidArgument && error?.message.contains(word) == true)
            #expect(body.verdict.error?.message == error?.message && !body.verdict.isWhole)
            #expect(passed <= max(0, min(announced, length) - GuardedBody<AsyncStream<ByteBuffer>>.heldBack))
        }
    }
}
