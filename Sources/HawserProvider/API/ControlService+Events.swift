import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import HummingbirdCore
import Logging
import NIOCore

extension ControlService {
    /// Writes a session's events until the session, the connection or the server ends.
    @concurrent
    func follow(
        _ session: SessionRecord,
        _ writer: consuming ResponseWriter,
        _ connection: ControlConnection
    ) async throws {
        let feed = hub.open(session, channel: connection.channel)
        defer { hub.remove(feed) }
        var head = HTTPResponse(status: .ok)
        head.headerFields[.contentType] = "application/x-ndjson"
        head.headerFields[.cacheControl] = "no-store"
        var body = try await writer.writeHead(head)
        for await _ in feed.signals {
            guard let lines = feed.take() else { break }
            var buffer = ByteBuffer()
            var isOver = false
            for line in lines {
                switch line {
                case .state:
                    let event = await state(for: session)
                    try buffer.writeLine(event)
                    if event.endsStream { isOver = true }
                case .event(let event):
                    try buffer.writeLine(event)
                case .last(let event):
                    try buffer.writeLine(event)
                    isOver = true
                }
                if isOver { break }
            }
            guard buffer.readableBytes > 0 else { continue }
            feed.beginWrite()
            try await body.write(buffer)
            feed.endWrite()
            if isOver {
                try await body.finish(nil)
                return
            }
        }
        // Nobody reads any more; the answer must not look whole.
        throw ConnectionOver()
    }
}

extension ControlService {
    private func state(for session: SessionRecord) async -> SessionEvent {
        // It may have ended before the hub knew of this stream.
        guard let live = database.session(session.id), live.ended == nil else {
            let problem = database.session(session.id)?.problem
            return .revoked(problem ?? ControlProblem(.sessionOver, "The session was closed."))
        }
        do {
            return .state(try await database.state(of: session))
        } catch {
            logger.error("Reading a state failed", metadata: ["session": "\(session.id)", "error": "\(error)"])
            return .reconnect(after: 5)
        }
    }
}

extension SessionEvent {
    fileprivate var endsStream: Bool {
        switch self {
        case .revoked, .reconnect: true
        default: false
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeLine(_ event: SessionEvent) throws {
        writeImmutableBuffer(try jsonBuffer(event))
        writeInteger(UInt8(ascii: "\n"))
    }
}
