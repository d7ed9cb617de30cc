import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The programs of `Examples/` that need no other server, as their users run them.
@Suite("The examples")
struct ExampleTests {
    private func start(
        _ name: String,
        _ arguments: [String],
        on bench: Workbench,
        input: Data? = nil
    ) throws -> RunningCommand {
        try RunningCommand(HawserBinary.path(name), arguments, environment: bench.environment, input: input)
    }

    @Test("Each says how it is used", arguments: ["LocalBackup", "StreamBackup", "EmbeddedAgent"])
    func usage(name: String) async throws {
        let result = try await start(name, [], on: Workbench()).result()
        result.expect(64)
        #expect(result.text.contains("usage: "))
    }

    @Test("LocalBackup backs up and restores")
    func localBackup() async throws {
        let bench = try Workbench()
        try bench.write("file", bytes: 300_000)
        let target = bench.directory.path + "/target"
        try await start("LocalBackup", [bench.source, bench.repository, target], on: bench).result().expect(0)
        #expect(
            FileManager.default.contentsEqual(
                atPath: bench.source + "/file",
                andPath: bench.restored("target") + "/file"
            )
        )
        try await bench.hawser("check", "--read-data").expect(0)
    }

    @Test("StreamBackup stores what is piped in")
    func streamBackup() async throws {
        let bench = try await Workbench.withRepository()
        let content = Data("create table …;\n".utf8)
        try await start("StreamBackup", [bench.repository, "all.sql"], on: bench, input: content).result().expect(0)
        let dump = try await bench.hawser("dump", "latest", "/all.sql")
        dump.expect(0)
        #expect(dump.output == content)
    }

    @Test("EmbeddedAgent backs up, and stops in order on SIGTERM")
    func embeddedAgent() async throws {
        let bench = try await Workbench.withRepository()
        try bench.write("file", bytes: 1000)
        let agent = try start("EmbeddedAgent", [bench.repository, "3600", bench.source], on: bench)
        try await agent.waitForErrors("backed up")
        agent.send(SIGTERM)
        let result = try await agent.result()
        result.expect(0)
        #expect(result.allText.contains("backups have stopped"))
        #expect(try await bench.snapshots().count == 1)
    }
}
