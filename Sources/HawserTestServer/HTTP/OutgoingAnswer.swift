import HawserStorage
import HawserTesting
import HummingbirdCore
import NIOCore

/// An answer on its way out, with what goes wrong there.
struct OutgoingAnswer: Sendable {
    // Of a file: enough for a disk, little enough for memory.
    private static let pieceSize = 1 << 20

    private let answer: Answer
    private let effects: FaultEffects
    private let isHead: Bool

    init(_ answer: Answer, _ effects: FaultEffects, isHead: Bool) {
        self.answer = answer
        self.effects = effects
        self.isHead = isHead
    }

    @concurrent
    func write(_ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        let head = answer.head(isHead: isHead)
        if let cut = effects.answerCut {
            try await channel.cutOutput(afterBytes: cut)
        }
        if isHead {
            try await writer.writeResponse(head)
        } else if case .bytes(let buffer) = answer.body, !isInPieces {
            try await writer.write(response: head, body: ResponseBody(byteBuffer: buffer))
        } else {
            var body: any ResponseBodyWriter = try await writer.writeHead(head)
            try await send(to: &body)
            try await body.finish(nil)
        }
        if effects.answerCut != nil { throw ConnectionEnds.afterWrites }
    }

    private var isInPieces: Bool {
        effects.bodyCut != nil || effects.bodyGate != nil || effects.pace != nil
    }

    @concurrent
    private func send(to writer: inout any ResponseBodyWriter) async throws {
        let length = min(effects.bodyCut ?? .max, answer.body.length)
        var gate = effects.bodyGate
        var sent = 0
        while sent < length {
            if let reached = gate, sent >= reached.bytes {
                try await reached.gate.pass()
                gate = nil
            }
            if let pause = effects.pace?.pause { try await Task.sleep(for: pause) }
            let size = min(effects.pace?.bytes ?? Self.pieceSize, gate.map { $0.bytes - sent } ?? .max, length - sent)
            try await writer.write(try await piece(sent..<sent + size))
            sent += size
        }
        if effects.bodyCut != nil { throw ConnectionEnds.afterWrites }
    }

    private func piece(_ range: Range<Int>) async throws -> ByteBuffer {
        switch answer.body {
        case .bytes(let buffer):
            return buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) ?? buffer
        case .file(let file, let whole):
            let part = whole.lowerBound + range.lowerBound..<whole.lowerBound + range.upperBound
            return try await BlockingExecutor.shared.run { try file.read(part) }
        }
    }
}
