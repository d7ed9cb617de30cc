import Crypto
import Foundation
import NIOCore
import Synchronization

/// Where the server is, and who has signed its certificate.
struct Door: Sendable {
    var connect: @Sendable (_ tenant: Int) async throws -> Connection
    var domain: String
}

/// A tenant with one machine and one session: the one that follows events, and asks for leases and tickets.
final class Tenant: Sendable {
    private struct State {
        var connection: Connection?
        /// Of the last lease, which the next request settles.
        var lease: (id: String, bytes: Int)?
        var books = Books()
    }

    let number: Int
    let session: String
    let token: String
    let repository: String
    private let door: Door
    private let state = Mutex(State())

    /// Bytes, as the server's answers said.
    struct Books {
        var granted = 0
        var used = 0
        var leases = 0
        var tickets = 0

        static func + (first: Books, second: Books) -> Books {
            Books(
                granted: first.granted + second.granted,
                used: first.used + second.used,
                leases: first.leases + second.leases,
                tickets: first.tickets + second.tickets
            )
        }
    }

    var books: Books { state.withLock { $0.books } }

    // MARK: Signing in

    private struct Device: Decodable { var device: String }
    private struct Nonce: Decodable { var nonce: Data }
    private struct Session: Decodable {
        struct State: Decodable { var repositories: [Repository] }
        struct Repository: Decodable { var repository: String }
        var session: String
        var token: String
        var state: State
    }
    private struct Registration: Encodable {
        var code: String
        var publicKey: Data
        var name = "machine"
    }
    private struct SignIn: Encodable {
        var device: String
        var nonce: Data
        var signature: Data
        var purpose = "backup"
        var agent = "ProviderLoad"
    }

    /// Registers a machine and opens its session.
    init(_ number: Int, code: String, _ door: Door, over connection: Connection) async throws {
        let key = Curve25519.Signing.PrivateKey()
        let registration = Registration(code: code, publicKey: key.publicKey.rawRepresentation)
        let device = try await connection.send("/v1/devices", json: registration).decoded(Device.self).device
        let nonce = try await connection.send("/v1/nonces", ByteBuffer()).decoded(Nonce.self).nonce
        var signed = Data("hawser sign-in 1".utf8)
        for part in [Data(device.utf8), nonce, Data("backup".utf8), Data(door.domain.utf8)] {
            withUnsafeBytes(of: UInt32(part.count).bigEndian) { signed.append(contentsOf: $0) }
            signed.append(part)
        }
        let request = SignIn(device: device, nonce: nonce, signature: try key.signature(for: signed))
        let answer = try await connection.send("/v1/sessions", json: request).decoded(Session.self)
        guard let repository = answer.state.repositories.first?.repository else { throw Connection.Broken() }
        self.number = number
        self.door = door
        self.repository = repository
        session = answer.session
        token = answer.token
    }

    // MARK: Events

    /// Follows the session's events and comes back whenever the connection ends, as `ProviderConnection` does, until
    /// cancelled.
    func follow(_ arrivals: Arrivals, over first: Connection) async {
        var connection: Connection? = first
        var failures = 0
        while !Task.isCancelled {
            let pause = Mutex<Double?>(nil)
            let hasBegun = Mutex(false)
            do {
                if connection == nil { connection = try await door.connect(number) }
                let answer = try await connection?.send("/v1/sessions/\(session)/events", token: token) {
                    [number] line in
                    hasBegun.withLock { $0 = true }
                    arrivals.hear(line, of: number)
                    if let after = Self.reconnect(line) { pause.withLock { $0 = after } }
                }
                if let answer, answer.status == 401 || answer.status == 403 { arrivals.lose(number) }
            } catch {}
            connection?.close()
            connection = nil
            arrivals.leave(number)
            failures = hasBegun.withLock { $0 } ? 0 : failures + 1
            let wait = pause.withLock { $0 } ?? Double.random(in: 0..<Double(1 << min(failures, 5)))
            try? await Task.sleep(for: .seconds(min(wait, 30)))
        }
    }

    private static func reconnect(_ line: ByteBufferView) -> Double? {
        // Short, unlike a state.
        guard line.count < 100 else { return nil }
        let text = String(decoding: line, as: UTF8.self)
        guard text.contains("reconnect"), let colon = text.firstRange(of: "\"after\":") else { return nil }
        return Double(text[colon.upperBound...].prefix { $0.isNumber || $0 == "." || $0 == "e" || $0 == "-" })
    }

    // MARK: Requests

    /// Opens the connection for requests.
    func open() async throws {
        let connection = try await door.connect(number)
        let older = state.withLock { state in
            defer { state.connection = connection }
            return state.connection
        }
        older?.close()
    }

    func close() {
        state.withLock { state in
            defer { state.connection = nil }
            return state.connection
        }?.close()
    }

    func poll() async throws {
        let answer = try await send("/v1/sessions/\(session)", nil)
        guard answer.status == 200 else { throw Connection.Unexpected(answer.status, answer.body) }
    }

    private struct Granted: Decodable { var bytes: Int }

    /// Asks for a lease and settles the one before, as a backup does. A request that is not answered is sent again as it
    /// was, until it is.
    func lease() async throws {
        let id = Self.hex(16)
        let bytes = Int.random(in: 1...64 << 20)
        let last = state.withLock { $0.lease }
        let used = last.map { Int.random(in: 0...$0.bytes) } ?? 0
        let settled = last.map { "{\"lease\":\"\($0.id)\",\"used\":\(used)}" } ?? ""
        let body = ByteBuffer(
            string: "{\"bytes\":\(bytes),\"lease\":\"\(id)\",\"rate\":1000000,\"settled\":[\(settled)]}"
        )
        let granted = try await insist("leases", body).decoded(Granted.self).bytes
        state.withLock { state in
            state.lease = (id, granted)
            state.books.granted += granted
            state.books.used += used
            state.books.leases += 1
        }
    }

    /// Asks for tickets to store so many objects of 1 MiB.
    func tickets(_ count: Int) async throws {
        let puts = (0..<count).map { _ in
            let name = (0..<32).map { _ in UInt8.random(in: 0...255) }
            let hex = Self.hex(name)
            let sha256 = Data(name).base64EncodedString()
            return "{\"key\":\"packs/d/\(hex.prefix(2))/\(hex)\",\"length\":1048576,\"sha256\":\"\(sha256)\"}"
        }
        let body = ByteBuffer(string: "{\"gets\":[],\"puts\":[\(puts.joined(separator: ","))]}")
        let answer = try await insist("tickets", body)
        guard answer.status == 200 else { throw Connection.Unexpected(answer.status, answer.body) }
        let granted = answer.body.readableBytesView.count(of: Array("\"outcome\":\"granted\"".utf8))
        state.withLock { state in
            state.books.granted += granted << 20
            state.books.tickets += granted
        }
    }

    private func insist(_ path: String, _ body: ByteBuffer) async throws -> Connection.Answer {
        var failures = 0
        while true {
            do {
                let answer = try await send("/v1/repositories/\(repository)/\(path)", body)
                guard answer.status == 429 || answer.status == 503 else { return answer }
            } catch is CancellationError {
                throw CancellationError()
            } catch {}
            failures += 1
            try await Task.sleep(for: .seconds(Double.random(in: 0..<Double(1 << min(failures, 5)) / 4)))
        }
    }

    private func send(_ path: String, _ body: ByteBuffer?) async throws -> Connection.Answer {
        if state.withLock({ $0.connection == nil }) { try await open() }
        guard let connection = state.withLock({ $0.connection }) else { throw Connection.Broken() }
        do {
            return try await connection.send(path, token: token, body)
        } catch {
            close()
            throw error
        }
    }

    static func hex(_ count: Int) -> String { hex((0..<count).map { _ in UInt8.random(in: 0...255) }) }

    static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
