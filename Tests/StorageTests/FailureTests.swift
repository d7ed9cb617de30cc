import Foundation
import Testing

@testable import EndToEndTests

/// What goes wrong with a server, and what a user then sees.
@Suite("Failures", .needsServer, .serialized)
struct FailureTests {
    private let server: TestedServer

    init() throws {
        server = try #require(TestedServer.current)
    }

    @Test("A server that is killed and comes back does not end a backup", .needs("CONTROL"))
    func outage() async throws {
        let prefix = TestedServer.freshPrefix()
        let bench = try server.bench(prefix: prefix)
        try await bench.hawser("init").expect(0)
        try bench.write(files: 6, of: 8 << 20, named: "data")
        let command = try bench.start(["backup", bench.source, "--host", "outage"])
        try await server.withStore(prefix) { try await $0.waitForPacks(count: 1) }
        try await server.control("pause")
        // Requests that were on their way fail, and at least the first that are tried again do, too.
        try await Task.sleep(for: .seconds(TestScale.isFull ? 300 : 2))
        try await server.control("resume")
        try await command.result(timeout: .seconds(900)).expect(0)
        try await bench.expectWhole(hosts: ["outage"])
    }

    @Test("14 for a wrong secret and for a key that nobody has")
    func wrongKey() async throws {
        let bench = try server.bench()
        try await bench.hawser("init").expect(0)
        var secret = server.key
        secret.secret += "x"
        try await bench.hawser("snapshots", changing: secret.variables).expect(14)
        let unknown = TestedServer.Key(id: "nobody", secret: server.key.secret)
        try await bench.hawser("snapshots", changing: unknown.variables).expect(14)
        try await bench.hawser("snapshots").expect(0)
    }

    @Test("10 for a bucket that does not exist and for an empty folder, and the message names it")
    func noBucket() async throws {
        let bucket = "missing-" + UUID().uuidString.lowercased()
        let missing = try server.bench(bucket: bucket)
        for arguments in [["snapshots"], ["init"]] {
            let result = try await missing.start(arguments).result()
            result.expect(10)
            #expect(result.allText.contains(bucket), "\(result)")
        }
        try await server.bench().hawser("snapshots").expect(10)
    }

    @Test("14 for a bucket that is somebody else's", .needs("SMALL"))
    func foreignBucket() async throws {
        try await server.bench(bucket: "small").hawser("init").expect(14)
    }

    @Test("13 when the quota is used up, and everything before stays whole", .needs("SMALL"))
    func quota() async throws {
        let bench = try server.bench(bucket: "small", key: server.account("SMALL"))
        try await bench.hawser("init").expect(0)
        try bench.write(files: 1, of: 1 << 20, named: "fits")
        try await bench.backup("--host", "fits")
        let manifest = bench.directory.path + "/manifest"
        try await TreeComparison.writeManifest(of: bench.source, to: manifest)

        // The server looks at statistics that are a second old: what is written meanwhile gets past it.
        var refused: CommandResult?
        for round in 0..<10 where refused == nil {
            try bench.write(files: 1, of: 16 << 20, named: "too-much-\(round)")
            let result = try await bench.hawser("backup", bench.source)
            if result.status != 0 { refused = result }
        }
        try #require(refused, "nothing was refused").expect(13)
        try await bench.hawser("check", "--read-data").expect(0)
        try await bench.restore("latest", to: "fits", options: ["--host", "fits"]).expect(0)
        try await TreeComparison.expectEqual(manifest, bench.restored("fits"))
    }
}
