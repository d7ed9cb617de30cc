import HawserTesting
import NIOCore

/// What goes wrong at one request.
struct FaultEffects: Sendable {
    private let effects: [ServerFault.Effect]

    init(_ effects: [ServerFault.Effect] = []) {
        self.effects = effects
    }

    var isEmpty: Bool { effects.isEmpty }

    private func first<Value>(_ value: (ServerFault.Effect) -> Value?) -> Value? {
        effects.lazy.compactMap(value).first
    }

    // MARK: Before

    /// Waits, and gives the answer that takes the place of the request.
    func before() async throws -> ScriptedAnswer? {
        for effect in effects {
            switch effect {
            case .hold(let gate): try await gate.pass()
            case .resetBefore: throw ConnectionEnds.reset
            case .answer(let answer): return answer
            default: break
            }
        }
        return nil
    }

    var expiresToken: Bool {
        first { if case .expireToken = $0 { true } else { nil } } ?? false
    }

    // MARK: The request's body

    /// - Parameter received: bytes up to now, this piece among them.
    func receive(_ received: Int) async throws {
        for effect in effects {
            switch effect {
            case .cutRequest(let count) where received >= count: throw ConnectionEnds.reset
            case .holdRequest(let count, let gate) where received >= count: try await gate.pass()
            default: break
            }
        }
    }

    var storedLength: Int? {
        first { if case .storeTruncated(let count) = $0 { count } else { nil } }
    }

    // MARK: Lists

    var hiddenNewest: Int {
        first { if case .hideNewest(let count) = $0 { count } else { nil } } ?? 0
    }

    var skippedEvery: Int? {
        first { if case .skipKeys(let every) = $0 { max(every, 1) } else { nil } }
    }

    var repeatsKeys: Bool {
        first { if case .repeatKeys = $0 { true } else { nil } } ?? false
    }

    // MARK: The answer

    /// Waits, and gives the answer that takes the place of the right one.
    func after() async throws -> ScriptedAnswer? {
        for effect in effects {
            switch effect {
            case .holdAnswer(let gate): try await gate.pass()
            case .resetAfter: throw ConnectionEnds.reset
            case .answerAfter(let answer): return answer
            default: break
            }
        }
        return nil
    }

    var changesBody: Bool {
        first { effect in
            switch effect {
            case .truncate, .flip, .body: true
            default: nil
            }
        } ?? false
    }

    func changed(_ body: ByteBuffer) -> ByteBuffer {
        var body = body
        for effect in effects {
            switch effect {
            case .truncate(let count):
                body = body.getSlice(at: body.readerIndex, length: min(count, body.readableBytes)) ?? body
            case .flip(let bit): body = ByteBuffer(bytes: Corpus.flipping(bit: bit, of: Array(body.readableBytesView)))
            case .body(let other): body = ByteBuffer(bytes: other)
            default: break
            }
        }
        return body
    }

    var answerCut: Int? {
        first { if case .cutAnswer(let count) = $0 { count } else { nil } }
    }

    var bodyCut: Int? {
        first { if case .cutBody(let count) = $0 { count } else { nil } }
    }

    var bodyGate: (bytes: Int, gate: Gate)? {
        first { if case .holdBody(let count, let gate) = $0 { (count, gate) } else { nil } }
    }

    var pace: (bytes: Int, pause: Duration)? {
        first { if case .slowBody(let bytes, let pause) = $0 { (max(bytes, 1), pause) } else { nil } }
    }
}
