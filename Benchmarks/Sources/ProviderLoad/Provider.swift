import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A provider's server with its database on the disk, and a storage, as processes on 127.0.0.1.
final class Provider: Sendable {
    struct Failed: Error, CustomStringConvertible { var description: String }

    static let domain = "load.example"

    private let programs: String
    private let folder = FileManager.default.temporaryDirectory.path + "/provider-load-\(Tenant.hex(4))"
    private let port: Int
    private let storagePort: Int
    private let storage = Mutex<Process?>(nil)
    private let server = Mutex<Process?>(nil)
    private let idle = Mutex<[Connection]>([])

    /// - Parameter programs: folder with `hawser-provider` and `s3-test-server`.
    init(programs: String) async throws {
        self.programs = programs
        let ports = try await Self.freePorts(2)
        (port, storagePort) = (ports[0], ports[1])
    }

    /// Makes a provider with the repository `main`, to which tickets may be given, and starts its server.
    func begin() async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let (access, secret) = (Tenant.hex(8), Tenant.hex(20))
        try Data(secret.utf8).write(to: URL(filePath: folder + "/secret"))
        let storage = process("s3-test-server")
        storage.arguments = [
            "--port", "\(storagePort)", "--bucket", "load", "--access-key", access, "--secret-key", secret,
        ]
        storage.standardOutput = FileHandle.nullDevice
        try storage.run()
        self.storage.withLock { $0 = storage }
        try run(["init", "--domain", Self.domain])
        try run(
            [
                "storage", "add", "main", "--kind", "compatible", "--endpoint", "http://127.0.0.1:\(storagePort)",
                "--bucket", "load", "--access-key", access, "--secret-file", folder + "/secret", "--access", "tickets",
            ]
        )
        try run(["gateway", "add", "g1", "--kind", "relay", "--address", "127.0.0.1:\(port)"])
        try await Self.listens(storagePort)
        try run(["storage", "check", "main"])
        try await start()
    }

    /// With the authorities that the server has.
    func door() async throws -> Door {
        struct Shown: Decodable { var authorities: [Data] }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.trustRoots = .certificates(
            try await command("ca.show", Nothing()).decoded(Shown.self).authorities.map {
                try NIOSSLCertificate(bytes: Array($0), format: .der)
            }
        )
        let tls = try NIOSSLContext(configuration: configuration)
        return Door(
            connect: { [port] in try await .tenant($0, port, tls, name: "control.\(Self.domain)") },
            domain: Self.domain
        )
    }

    // MARK: Processes

    private func process(_ program: String) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "\(programs)/\(program)")
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("HAWSER_") }
        environment["HAWSER_PROVIDER_DATA"] = folder + "/provider"
        process.environment = environment
        return process
    }

    /// A command, while no server runs.
    private func run(_ arguments: [String]) throws {
        let process = process("hawser-provider")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failed(description: "\(arguments.joined(separator: " ")): \(String(decoding: data, as: UTF8.self))")
        }
    }

    private static func freePorts(_ count: Int) async throws -> [Int] {
        var channels: [any Channel] = []
        for _ in 0..<count {
            let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            channels.append(try await bootstrap.bind(host: "127.0.0.1", port: 0).get())
        }
        let ports = channels.compactMap(\.localAddress?.port)
        for channel in channels { try await channel.close() }
        return ports
    }

    private static func listens(_ port: Int) async throws {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do {
                try await bootstrap.connect(host: "127.0.0.1", port: port).get().close()
                return
            } catch  where .now < end {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Until it takes connections.
    func start() async throws {
        let log = folder + "/server.log"
        if !FileManager.default.fileExists(atPath: log) { try Data().write(to: URL(filePath: log)) }
        let output = try FileHandle(forWritingTo: URL(filePath: log))
        try output.seekToEnd()
        let process = process("hawser-provider")
        process.arguments = ["serve", "--listen", "127.0.0.1:\(port)", "--relay", "127.0.0.0/8"]
        process.standardError = output
        try process.run()
        server.withLock { $0 = process }
        try await Self.listens(port)
    }

    /// Until it has ended.
    func end(_ signal: Int32) async throws {
        guard let process = server.withLock({ $0.take() }) else { return }
        idle.withLock { $0 = [] }
        kill(process.processIdentifier, signal)
        while process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Ends everything and removes what is on the disk.
    func remove() async throws {
        try await end(SIGTERM)
        if let storage = storage.withLock({ $0.take() }) {
            storage.terminate()
            storage.waitUntilExit()
        }
        try FileManager.default.removeItem(atPath: folder)
    }

    /// Lines of the server's log that tell of trouble of its own.
    func troubles() throws -> [String] {
        try String(contentsOfFile: folder + "/server.log", encoding: .utf8).split(separator: "\n").map(String.init)
            .filter { $0.contains(" error ") || $0.contains(" critical ") }
    }

    // MARK: What it costs

    private func proc(_ file: String) throws -> String {
        let process = server.withLock { $0?.processIdentifier } ?? 0
        return try String(contentsOfFile: "/proc/\(process)/\(file)", encoding: .utf8)
    }

    /// Bytes that are its own: resident, without what files back.
    func memory() throws -> Int {
        let line = try proc("status").split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
        return (Int(line.split(whereSeparator: \.isWhitespace).dropFirst().first ?? "") ?? 0) << 10
    }

    /// Seconds of a processor's time so far.
    func cpu() throws -> Double {
        let fields = try proc("stat").split(separator: ")").last?.split(separator: " ") ?? []
        return Double((Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    // MARK: Commands

    /// What `hawser-provider` would ask the running server.
    func command(_ operation: String, _ request: some Encodable & Sendable) async throws -> Connection.Answer {
        let path = "/admin/v1/\(operation)"
        var connection = idle.withLock { $0.popLast() }
        var answer: Connection.Answer?
        // The server ends those that were idle for a minute.
        if let connection { answer = try? await connection.send(path, json: request) }
        if answer == nil {
            let fresh = try await Connection.admin(folder + "/provider/admin.sock")
            answer = try await fresh.send(path, json: request)
            connection = fresh
        }
        guard let answer, let connection else { throw Connection.Broken() }
        idle.withLock { $0.append(connection) }
        guard answer.status == 200 else { throw Connection.Unexpected(answer.status, answer.body) }
        return answer
    }
}
