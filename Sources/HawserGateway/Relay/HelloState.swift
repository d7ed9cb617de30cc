import NIOCore

/// What is allowed to come before a connection is relayed. Pure.
///
/// NIO's `SNIHandler` reads the server name. It holds whatever comes until it has a whole record, and goes on holding while
/// the backend is dialled; these limits stand before it. It also takes only a ClientHello in one record: one that is split
/// counts as one without a name, as the design wants it.
struct HelloState {
    enum Phase {
        /// Can transition to: dialling, done.
        case waiting
        /// The name is known. Can transition to: done.
        case dialling
        /// Relayed or refused.
        case done
    }

    /// Of a record's content: 16 KiB, which is also the most that TLS allows (RFC 8446, 5.1).
    static let recordLimit = 16 * 1024
    /// With the record's header, and with what may have come in the same read as the end of the ClientHello or was drained
    /// from the kernel when the client closed: nothing is asked for while the backend is dialled.
    static let totalLimit = 5 + recordLimit + 64 * 1024

    private(set) var phase = Phase.waiting
    private var received = 0
    private var header: [UInt8] = []

    /// The reason why the connection must be closed, if there is one.
    mutating func receive(_ bytes: ByteBuffer) -> HelloRefusal? {
        received += bytes.readableBytes
        guard received <= HelloState.totalLimit else { return .tooLarge }
        guard header.count < 5 else { return nil }
        header.append(contentsOf: bytes.readableBytesView.prefix(5 - header.count))
        // A handshake record, of SSL 3.0 or any TLS (RFC 8446, 5.1).
        guard header.starts(with: [22].prefix(header.count)) else { return .notTLS }
        guard header.count < 2 || header[1] == 3 else { return .notTLS }
        guard header.count == 5 else { return nil }
        return Int(header[3]) << 8 | Int(header[4]) > HelloState.recordLimit ? .tooLarge : nil
    }

    /// Whether it is the first decision.
    mutating func beginDialling() -> Bool {
        guard case .waiting = phase else { return false }
        phase = .dialling
        return true
    }

    /// Whether it was not done before.
    mutating func finish() -> Bool {
        if case .done = phase { return false }
        phase = .done
        return true
    }
}
