import Foundation
import HawserS3
import Testing

@testable import EndToEndTests

/// With no more rights than the documentation asks for.
@Suite("Rights", .needsServer, .serialized)
struct RightsTests {
    private let server: TestedServer

    init() throws {
        server = try #require(TestedServer.current)
    }

    @Test(
        "The documented policy is enough to make, back up, check and restore, and for nothing outside",
        .needs("MACHINE")
    )
    func documentedPolicy() async throws {
        let machine = try server.account("MACHINE")
        let bench = try server.bench(prefix: TestedServer.freshPrefix(below: "machine/"), key: machine)
        try await expectUsable(bench)
        try await server.bench(prefix: TestedServer.freshPrefix(), key: machine).hawser("init").expect(14)

        // Deleting is for another account.
        let password = ["HAWSER_NEW_PASSWORD": "another"]
        try await bench.hawser("tag", "--add", "kept", changing: password).expect(14)
        try await bench.hawser("tag", "--add", "kept", changing: server.account("KEEPER").variables).expect(0)
        try await bench.expectWhole(hosts: ["rights"])
    }

    @Test("A policy without deletion is enough to go on after a kill", .needs("MACHINE"))
    func killedBackup() async throws {
        let prefix = TestedServer.freshPrefix(below: "machine/")
        let bench = try server.bench(prefix: prefix, key: server.account("MACHINE"))
        try await bench.hawser("init").expect(0)
        try bench.write(files: 6, of: 8 << 20, named: "data")
        let command = try bench.start(["backup", bench.source])
        try await server.withStore(prefix) { try await $0.waitForPacks(count: 1) }
        command.send(SIGKILL)
        _ = try await command.result()
        try await bench.backup("--host", "rights")
        try await bench.expectWhole(hosts: ["rights"])
    }

    @Test(
        "Temporary credentials that are cut down to the folder are enough for it, and for nothing outside",
        .needs("ROLE")
    )
    func sessionPolicy() async throws {
        let folder = TestedServer.freshPrefix()
        let key = try await server.assumeRole(policy: policy(for: folder))
        let bench = try server.bench(prefix: folder, key: key)
        try await expectUsable(bench)
        try await server.bench(prefix: TestedServer.freshPrefix(), key: key).hawser("init").expect(14)
    }

    private func expectUsable(_ bench: Workbench) async throws {
        try await bench.hawser("init").expect(0)
        try bench.write(files: 10, of: 500_000, named: "data")
        try await bench.backup("--host", "rights")
        try Data("more".utf8).write(to: URL(filePath: bench.source + "/more"))
        try await bench.backup("--host", "rights")
        try await bench.expectWhole(hosts: ["rights"])
    }

    private func policy(for folder: String) -> String {
        let bucket = "arn:aws:s3:::\(server.bucket)"
        return """
            {"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"s3:ListBucket","Resource":"\(bucket)",
            "Condition":{"StringLike":{"s3:prefix":"\(folder)/*"}}},
            {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"\(bucket)/\(folder)/*"}]}
            """
    }
}
