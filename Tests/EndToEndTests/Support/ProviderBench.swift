import Foundation
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A provider's server behind a cloud gateway, as processes.
struct ProviderBench {
    let directory: TemporaryDirectory
    let serverPort: UInt16
    let gatewayPort: UInt16
    let gatewayServerPort: UInt16
    /// Of another relay, and of the gateway server `gs2`.
    let spareGatewayPort: UInt16
    let spareGatewayServerPort: UInt16

    init() throws {
        directory = try TemporaryDirectory()
        serverPort = try Self.freePort()
        gatewayPort = try Self.freePort()
        gatewayServerPort = try Self.freePort()
        spareGatewayPort = try Self.freePort()
        spareGatewayServerPort = try Self.freePort()
        try route(control: serverPort, gatewayServer: gatewayServerPort)
    }

    /// Where a relay that is started from now on finds the servers.
    func route(control: UInt16, gatewayServer: UInt16) throws {
        let routes = """
            routes:
              - names: [control.backup.example]
                backends: ["127.0.0.1:\(control)"]
              - names: [gs1.backup.example]
                backends: ["127.0.0.1:\(gatewayServer)"]
              - names: [gs2.backup.example]
                backends: ["127.0.0.1:\(spareGatewayServerPort)"]
            """
        try Data(routes.utf8).write(to: directory.url.appending(path: "routes.yaml"))
    }

    var environment: [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("HAWSER_") }
        environment["HAWSER_PROVIDER_DATA"] = directory.path + "/data"
        return environment
    }

    @discardableResult
    func provider(_ arguments: String..., input: Data? = nil) async throws -> CommandResult {
        try await provider(arguments: arguments, input: input)
    }

    @discardableResult
    func provider(arguments: [String], input: Data? = nil) async throws -> CommandResult {
        let program = try HawserBinary.path("hawser-provider")
        let result = try await RunningCommand(program, arguments, environment: environment, input: input).result()
        result.expect(0)
        return result
    }

    func startServer(_ options: String..., port: UInt16? = nil) throws -> RunningCommand {
        try RunningCommand(
            HawserBinary.path("hawser-provider"),
            ["serve", "--listen", "127.0.0.1:\(port ?? serverPort)", "--relay", "127.0.0.1"] + options,
            environment: environment
        )
    }

    func startGateway(_ options: [String] = [], port: UInt16? = nil) throws -> RunningCommand {
        let address = "127.0.0.1:\(port ?? gatewayPort)"
        return try RunningCommand(
            HawserBinary.path("hawser-gateway"),
            ["relay", "--routes", directory.path + "/routes.yaml", "--listen", address] + options,
            environment: environment
        )
    }

    /// - Parameter folder: of the gateway, in that of the bench.
    func join(_ joinString: String, _ folder: String = "gs1") async throws -> CommandResult {
        try await RunningCommand(
            HawserBinary.path("hawser-gateway"),
            ["join", "-", "--data", directory.path + "/" + folder],
            environment: environment,
            input: Data("\(joinString)\n".utf8)
        ).result()
    }

    /// It says which movers it runs.
    func startGatewayServer(_ name: String = "gs1", port: UInt16? = nil) throws -> RunningCommand {
        try RunningCommand(
            HawserBinary.path("hawser-gateway"),
            [
                "serve", "--data", directory.path + "/" + name, "--listen", "127.0.0.1:\(port ?? gatewayServerPort)",
                "--relay", "127.0.0.1", "--memory", "64M", "--log-level", "info",
            ],
            environment: environment
        )
    }

    /// Until both take connections.
    func waitUntilServing() async throws {
        try await wait(for: [serverPort, gatewayPort])
    }

    private struct Ended: Error {
        var result: CommandResult
    }

    /// - Parameter process: whose ports they are: when it ends, nobody will listen.
    func wait(for ports: [UInt16], of process: RunningCommand? = nil) async throws {
        for port in ports {
            while !Self.withSocket(port, { connect($0, $1, $2) == 0 }) {
                if let process, !process.isRunning { throw Ended(result: try await process.result()) }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    private struct NoFreePort: Error {}

    /// What benches of this process have.
    private static let givenPorts = Mutex<Set<UInt16>>([])

    /// Nobody listens there now, no other bench gets it, and no connection or listener that leaves the choice to the
    /// system: those get ports from 32,768 on (Linux; elsewhere from 49,152 on).
    private static func freePort() throws -> UInt16 {
        for _ in 0..<1000 {
            let port = UInt16.random(in: 16_384..<32_768)
            let isNew = givenPorts.withLock { $0.insert(port).inserted }
            if isNew, withSocket(port, { bind($0, $1, $2) == 0 }) { return port }
        }
        throw NoFreePort()
    }

    private static func withSocket(
        _ port: UInt16,
        _ body: (_ descriptor: Int32, UnsafePointer<sockaddr>, socklen_t) -> Bool
    ) -> Bool {
        #if canImport(Glibc)
            let kind = Int32(SOCK_STREAM.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        let descriptor = socket(AF_INET, kind, 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
