import Foundation
import Testing

/// What the other tests rely on.
@Suite("Test support")
struct SupportTests {
    @Test("A token in a log is seen, and an id is none")
    func tokens() {
        let token = Data((0..<32).map { UInt8(truncatingIfNeeded: $0 * 37) }).base64EncodedString().replacing(
            "+",
            with: "-"
        )
        .replacing("/", with: "_").replacing("=", with: "")
        #expect(ProviderScene.hasToken("token=\(token) x"))
        #expect(!ProviderScene.hasToken("id=\(String(repeating: "0a", count: 16)) x"))
    }

    @Test("The comparison sees every kind of change in the awkward tree")
    func comparisonSees() async throws {
        let bench = try Workbench()
        let tree = try NastyTree(in: bench.source, seed: TestScale.seed)
        tree.tellSkipped()
        let manifest = bench.directory.path + "/manifest"
        try await TreeComparison.writeManifest(of: bench.source, to: manifest)
        try await TreeComparison.expectEqual(manifest, bench.source)

        let folder = try Folder(path: bench.source)
        let sizes = try Folder(path: bench.source + "/sizes")
        try sizes.change("random-512", modified: (seconds: 1, nanoseconds: 2))
        try sizes.change("random-513", mode: 0o4755)
        try FileManager.default.removeItem(atPath: bench.source + "/links/first")
        try FileManager.default.removeItem(atPath: bench.source + "/links/relative")
        try FileManager.default.removeItem(atPath: bench.source + "/links/third")
        try FileManager.default.copyItem(
            atPath: bench.source + "/links/below/second",
            toPath: bench.source + "/links/third"
        )
        try folder.makeFile("added", [])
        let handle = try #require(FileHandle(forUpdatingAtPath: bench.source + "/sparse/islands"))
        try handle.seek(toOffset: 1 << 16)
        try handle.write(contentsOf: Data([0]))
        try handle.close()
        let differences = try await TreeComparison.differences(manifest, bench.source)
        for expected in [
            "sizes/random-512: mtime is", "sizes/random-513: mode is 644, then 4755", "only in the first:  links/first",
            "only in the first:  links/relative", "links/third: links is", "only in the second: added",
            "sparse/islands: holes is",
        ] {
            #expect(differences.contains { $0.hasPrefix(expected) }, "\(expected)\n\(differences)")
        }
        #expect(!differences.contains { $0.hasPrefix("sparse/islands: content") }, "zeros are no other content")
    }

    @Test("A command's exit code, signal, output and time limit are seen")
    func commands() async throws {
        func run(_ script: String, timeout: Duration = .seconds(60)) async throws -> CommandResult {
            try await RunningCommand("/bin/sh", ["-c", script], environment: [:]).result(timeout: timeout)
        }
        let failed = try await run("echo out; echo err >&2; exit 7")
        #expect(failed.end == .exit(7) && failed.text == "out\n" && failed.allText == "out\nerr\n")
        #expect(try await run("kill -9 $$").end == .signal(9))
        #expect(try await run("exec sleep 60", timeout: .milliseconds(50)).end == .signal(9))
        let json = try await run(#"echo '{"message_type":"status"}'; echo '[{"id":"1"},{"id":"2"}]'"#)
        #expect(json.objects.count == 3 && json.message("status") != nil)
    }

    @Test("The built command is found")
    func binary() throws {
        #expect(try HawserBinary.path().hasSuffix("/hawser"))
    }
}
