import Foundation
import HawserFormat
import HawserTestServer
import HawserTesting
import Testing

/// A repository whose objects nobody can delete for a time.
@Suite("Object locks")
struct ObjectLockTests {
    private static func configuration() -> S3TestServer.Configuration {
        var configuration = S3TestServer.Configuration()
        configuration.buckets = [.init("hawser", hasObjectLock: true, hasVersions: true), "plain"]
        return configuration
    }

    private func packs(_ server: S3TestServer) throws -> [String] {
        try #require(server.keys(in: "hawser")).filter { $0.contains("/packs/") }
    }

    @Test(
        "What a restore needs is locked for the days and up to ten more, and a prune leaves it",
        arguments: ["governance", "compliance"]
    )
    func locked(mode: String) async throws {
        try await withS3TestServer(Self.configuration()) { server in
            let bench = try Workbench(variables: S3Tests.variables(server))
            try await bench.hawser("init", "--lock-days", "30", "--lock-mode", mode).expect(0)
            try bench.write("file", bytes: 1 << 20)
            try await bench.hawser("backup", bench.source).expect(0)
            for key in try #require(server.keys(in: "hawser")) {
                let days = server.lockEnd(of: key, in: "hawser").map {
                    (Double($0.seconds) - Date.now.timeIntervalSince1970) / 86_400
                }
                let isFree = ["/index/", "/checkpoints/", "/condemned/"].contains { key.contains($0) }
                #expect(isFree ? days == nil : days.map { (29.9...40.1).contains($0) } ?? false, "\(key): \(days ?? 0)")
            }
            try await bench.hawser("check", "--read-data").expect(0)

            // Nothing is needed any more, and nothing goes.
            try await bench.hawser("forget", "latest").expect(0)
            let prune = try await bench.hawser("prune", "--no-grace", "--json")
            prune.expect(0)
            let summary = try #require(prune.message("summary"), "\(prune)")
            #expect(summary["locked_packs"] as? Int == 2, "\(prune)")
            #expect(summary["marked_packs"] as? Int == 0)
            #expect(summary["locked_until"] != nil)
        }
    }

    @Test("A backup locks longer what earlier ones have stored: once, until the end of locks moves on")
    func extended() async throws {
        try await withS3TestServer(Self.configuration()) { server in
            let bench = try Workbench(variables: S3Tests.variables(server))
            try await bench.hawser("init", "--lock-days", "30").expect(0)
            try bench.write("file", bytes: 1 << 20)
            try await bench.hawser("backup", bench.source).expect(0)
            let locked = try packs(server)
            server.endLock(of: locked[0], in: "hawser")
            let check = try await bench.hawser("check")
            check.expect(1)
            #expect(check.allText.contains("not locked as long as they should be"), "\(check)")

            // The check has this machine forget what it knew of locks.
            server.resetCounts()
            try await bench.hawser("backup", bench.source).expect(0)
            // The configuration, the key, and the packs that the snapshot needs: a page of the tree may be a new one.
            #expect((3...4).contains(server.counts[.retention]))
            #expect(server.lockEnd(of: locked[0], in: "hawser") != nil)
            try await bench.hawser("check").expect(0)
            server.resetCounts()
            try bench.write("other", bytes: 1 << 20)
            try await bench.hawser("backup", bench.source).expect(0)
            #expect(server.counts[.retention] == 0)
            try await bench.hawser("check").expect(0)
        }
    }

    @Test("Whoever has the keys and deletes everything deletes nothing that is locked")
    func deletion() async throws {
        try await withS3TestServer(Self.configuration()) { server in
            let bench = try Workbench(variables: S3Tests.variables(server))
            try await bench.hawser("init", "--lock-days", "2").expect(0)
            try bench.write("file", bytes: 1 << 20)
            try await bench.hawser("backup", bench.source).expect(0)
            let keys = try #require(server.keys(in: "hawser"))
            for key in keys { try await server.remove(key, in: "hawser") }
            try await bench.hawser("snapshots").expect(10)
            #expect(server.keys(in: "hawser") == [])
            // Deleted is only that they are shown: this is what lifting the markers brings back.
            for key in keys { try server.removeMarker(of: key, in: "hawser") }
            try await bench.hawser("check", "--read-data").expect(0)
            try await bench.hawser("restore", "latest", "--target", bench.directory.path + "/target").expect(0)
            try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
        }
    }

    @Test("Refused where nothing can be locked, and when the keys may not lock")
    func refused() async throws {
        var configuration = Self.configuration()
        let policy = """
            {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
             {"Effect": "Deny", "Action": "s3:PutObjectRetention", "Resource": "*"}]}
            """
        configuration.users.append(
            .init(
                accessKeyID: "AKNOLOCK",
                secretAccessKey: "hawser/test+secret",
                policy: try AccessPolicy(json: policy)
            )
        )
        try await withS3TestServer(configuration) { server in
            let bench = try Workbench()
            let plain = S3Tests.variables(server, bucket: "plain")
            let result = try await bench.hawser("init", "--lock-days", "30", "--json", changing: plain)
            result.expect(1)
            #expect(result.message("exit_error")?["reason"] as? String == "unsupported", "\(result)")
            #expect(result.allText.contains("has no object locks"))
            #expect(server.keys(in: "plain") == [])
            let folder = try await bench.hawser("init", "--lock-days", "30", "--json")
            folder.expect(1)
            #expect(folder.allText.contains("Only S3 storage"))
            try await bench.hawser("init", "--lock-days", "0").expect(64)
            try await bench.hawser("init", "--lock-mode", "compliance").expect(64)

            var mayNotLock = S3Tests.variables(server)
            mayNotLock["AWS_ACCESS_KEY_ID"] = "AKNOLOCK"
            try await bench.hawser("init", "--lock-days", "30", changing: mayNotLock).expect(14)
            try await bench.hawser("init", "--lock-days", "30", changing: S3Tests.variables(server)).expect(0)
            try bench.write("file", bytes: 1 << 20)
            try await bench.hawser("backup", bench.source, changing: mayNotLock).expect(14)
        }
    }
}
