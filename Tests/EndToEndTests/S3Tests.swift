import Foundation
import HawserTestServer
import HawserTesting
import Testing

/// The command with a repository in S3 storage.
@Suite("S3 storage")
struct S3Tests {
    /// What a user of the server sets, and nothing of whoever runs the tests.
    static func variables(
        _ server: S3TestServer,
        bucket: String = "hawser",
        secret: String = "hawser/test+secret"
    ) -> [String: String] {
        [
            "HAWSER_REPOSITORY": "s3:\(server.endpoint)/\(bucket)/folder of mine", "AWS_ACCESS_KEY_ID": "AKTEST",
            "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "http_proxy": "",
            "HTTP_PROXY": "", "ALL_PROXY": "", "all_proxy": "",
        ]
    }

    private func expect(
        _ code: Int32,
        reason: String? = nil,
        _ bench: Workbench,
        _ variables: [String: String],
        _ arguments: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await bench.start(arguments + ["--json"], changing: variables).result()
        result.expect(code, sourceLocation: sourceLocation)
        if let reason {
            let error = result.message("exit_error")
            #expect(error?["reason"] as? String == reason, "\(result)", sourceLocation: sourceLocation)
            #expect(error?["code"] as? Int == Int(code), sourceLocation: sourceLocation)
        }
        #expect(!result.allText.contains("hawser/test+secret"), sourceLocation: sourceLocation)
    }

    @Test("Backup, check and restore, with few requests for a run without changes")
    func roundTrip() async throws {
        try await withS3TestServer { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
            try await expect(0, bench, variables, "init")
            try await expect(1, reason: "repository_exists", bench, variables, "init")
            try await expect(0, bench, variables, "backup", bench.source)
            server.resetCounts()
            try await expect(0, bench, variables, "backup", bench.source)
            // 11, and 2 more when the times of a directory above the source have changed, as those of /tmp do.
            #expect(server.counts.total <= 13, "\(server.requests.map { ($0.method, $0.target) })")
            #expect(server.requests.allSatisfy { $0.kind != .list || $0.key?.contains("packs") == false })
            try await expect(0, bench, variables, "check", "--read-data")
            let target = bench.directory.path + "/target"
            try await expect(0, bench, variables, "restore", "latest", "--target", target)
            let restored = FileManager.default.contents(atPath: bench.restored("target") + "/file")
            #expect(restored == Data("content".utf8))
        }
    }

    @Test("10 without a bucket and without a repository; 14 for wrong keys and for none")
    func refusals() async throws {
        try await withS3TestServer { server in
            let bench = try Workbench()
            let right = Self.variables(server)
            try await expect(10, reason: "no_repository", bench, right, "snapshots")
            let noBucket = Self.variables(server, bucket: "missing")
            try await expect(10, reason: "no_repository", bench, noBucket, "snapshots")
            try await expect(10, reason: "no_repository", bench, noBucket, "init")
            let wrongSecret = Self.variables(server, secret: "wrong")
            try await expect(14, reason: "access_denied", bench, wrongSecret, "snapshots")
            let unknown = right.merging(["AWS_ACCESS_KEY_ID": "AKOTHER"]) { $1 }
            try await expect(14, reason: "access_denied", bench, unknown, "init")
            let none = right.merging(["AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""]) { $1 }
            try await expect(14, reason: "access_denied", bench, none, "snapshots")
            let half = right.merging(["AWS_SECRET_ACCESS_KEY": ""]) { $1 }
            try await expect(14, reason: "access_denied", bench, half, "snapshots")
            let profile = none.merging(["AWS_PROFILE": "missing"]) { $1 }
            try await expect(14, reason: "access_denied", bench, profile, "snapshots")
            try await expect(64, reason: "usage", bench, ["HAWSER_REPOSITORY": "s3:https://host"], "snapshots")
        }
    }

    @Test(
        "What a storage says is told in words that help, with its code",
        arguments: [
            (.html(), "unavailable", 1, "a proxy or a portal"),
            (.error(403, "AccessDenied"), "access_denied", 14, "its rights on the bucket «hawser»"),
            (.error(403, "RequestTimeTooSkewed"), "access_denied", 14, "Set this machine's clock"),
            (.error(404, "NoSuchBucket"), "no_repository", 10, "There is no bucket «hawser»"),
        ] as [(ScriptedAnswer, String, Int32, String)]
    )
    func messages(_ answer: ScriptedAnswer, _ reason: String, _ code: Int32, _ words: String) async throws {
        try await withS3TestServer { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            server.add(ServerFault(.answer(answer), occurrence: .every))
            for command in [["snapshots"], ["backup", bench.source]] {
                let result = try await bench.start(command + ["--json"], changing: variables).result()
                result.expect(code)
                let error = result.message("exit_error")
                #expect(error?["reason"] as? String == reason, "\(result)")
                #expect((error?["message"] as? String)?.contains(words) == true, "\(result)")
            }
        }
    }

    @Test("13 when the quota is used up, and what was there stays restorable")
    func quota() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.quota = 1 << 20
        try await withS3TestServer(configuration) { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
            try await expect(0, bench, variables, "backup", bench.source)
            var generator = SeededGenerator(seed: TestScale.seed)
            try Data(generator.bytes(2 << 20)).write(to: URL(filePath: bench.source + "/large"))
            try await expect(13, reason: "quota_exceeded", bench, variables, "backup", bench.source)
            try await expect(0, bench, variables, "check", "--read-data")
        }
    }

    @Test("Where a third of all requests fail, backup, check and restore end right")
    func failingShare() async throws {
        try await withS3TestServer { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            for index in 0..<4 { try bench.write("file-\(index)", bytes: 6 << 20) }
            let unavailable = ScriptedAnswer.error(503, "ServiceUnavailable")
            server.add(ServerFault(.answer(unavailable), occurrence: .share(0.3, seed: 1)))
            server.add(ServerFault(.answerAfter(unavailable), occurrence: .share(0.1, seed: 2)))
            server.add(ServerFault(.resetAfter, occurrence: .share(0.1, seed: 3)))
            try await expect(0, bench, variables, "backup", bench.source)
            try await expect(0, bench, variables, "check", "--read-data")
            let target = bench.directory.path + "/target"
            try await expect(0, bench, variables, "restore", "latest", "--target", target)
            try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
            try server.verifyAllFired()
        }
    }

    @Test("A weak storage's uploads carry Content-MD5 from the first backup on, and its profile is remembered")
    func profile() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.behaviour = .rclone
        try await withS3TestServer(configuration) { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            try Data("content".utf8).write(to: URL(filePath: bench.source + "/file"))
            server.resetCounts()
            try await expect(0, bench, variables, "backup", bench.source)
            let puts = server.requests.filter { $0.kind == .put }
            #expect(!puts.isEmpty && puts.allSatisfy { $0.headers["content-md5"] != nil })
            let result = try await bench.start(["storage", "probe", "--json"], changing: variables).result()
            result.expect(0)
            #expect(result.message("storage")?["conditional_put"] as? Bool == false)
            try await expect(0, bench, variables, "storage", "probe", "--remember")
            try await expect(0, bench, variables, "backup", bench.source)
            try await expect(0, bench, variables, "check", "--read-data")
        }
    }

    @Test("A storage that names its region is asked in that one; 14 with its words when it names none")
    func region() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.region = "eu-central-1"
        try await withS3TestServer(configuration) { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            try bench.write("file", bytes: 1 << 20)
            try await expect(0, bench, variables, "backup", bench.source)
            try await expect(0, bench, variables, "check", "--read-data")
            let malformed = ScriptedAnswer.error(400, "AuthorizationHeaderMalformed")
            server.add(ServerFault(.answer(malformed), occurrence: .every))
            let result = try await bench.start(["snapshots", "--json"], changing: variables).result()
            result.expect(14)
            let message = result.message("exit_error")?["message"] as? String
            #expect(message?.contains("another region than us-east-1") == true, "\(result)")
        }
    }

    @Test("14 for a certificate that nobody vouches for, and --cacert vouches")
    func certificate() async throws {
        var configuration = S3TestServer.Configuration()
        configuration.security = .selfSigned
        try await withS3TestServer(configuration) { server in
            let bench = try Workbench()
            var variables = Self.variables(server)
            variables["AWS_CA_BUNDLE"] = ""
            for arguments in [["init"], ["backup", bench.source]] {
                let result = try await bench.start(arguments + ["--json"], changing: variables).result()
                result.expect(14)
                let message = result.message("exit_error")?["message"] as? String
                #expect(message?.contains("certificate can't be trusted") == true, "\(result)")
            }
            #expect(server.counts.total == 0)
            let file = bench.directory.path + "/ca.pem"
            try #require(server.certificate).write(toFile: file, atomically: true, encoding: .utf8)
            try await expect(0, bench, variables, "init", "--cacert", file)
            variables["AWS_CA_BUNDLE"] = file
            try await expect(0, bench, variables, "backup", bench.source)
        }
    }

    @Test("A list that repeats changes nothing; one that skips makes nobody lose anything", arguments: [false, true])
    func lists(skips: Bool) async throws {
        try await withS3TestServer { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            for round in 1...4 {
                try bench.write("file-\(round)", bytes: 1 << 20)
                try await expect(0, bench, variables, "backup", bench.source)
            }
            let effect: ServerFault.Effect = skips ? .skipKeys(every: 3) : .repeatKeys
            server.add(ServerFault(effect, on: [.list], occurrence: .every, name: "lists"))
            for arguments in [
                ["check", "--read-data"], ["backup", bench.source], ["forget", "--keep-last", "1"], ["prune"],
            ] {
                let result = try await bench.start(arguments + ["--json"], changing: variables).result()
                if !skips { result.expect(0) }
            }
            try server.verifyAllFired()
            server.removeFaults()
            try await expect(0, bench, variables, "backup", bench.source)
            try await expect(0, bench, variables, "prune")
            try await expect(0, bench, variables, "check", "--read-data")
            let target = bench.directory.path + "/target"
            try await expect(0, bench, variables, "restore", "latest", "--target", target)
            try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
        }
    }

    @Test("Connections cut anywhere in an upload and a download are made again", arguments: [0, 1, 65_537, 999_999])
    func cuts(after bytes: Int) async throws {
        try await withS3TestServer { server in
            let bench = try Workbench()
            let variables = Self.variables(server)
            try await expect(0, bench, variables, "init")
            try bench.write("file", bytes: 3 << 20)
            server.add(ServerFault(.cutRequest(afterBytes: bytes), on: [.put], keys: .containing("packs/")))
            try await expect(0, bench, variables, "backup", bench.source)
            try await expect(0, bench, variables, "check", "--read-data")
            server.add(ServerFault(.cutBody(afterBytes: bytes), on: [.get], keys: .containing("packs/")))
            server.add(
                ServerFault(
                    .cutAnswer(afterBytes: bytes),
                    on: [.get],
                    keys: .containing("packs/"),
                    occurrence: .only(2)
                )
            )
            let target = bench.directory.path + "/target"
            try await expect(0, bench, variables, "restore", "latest", "--target", target)
            try await TreeComparison.expectEqual(bench.source, bench.restored("target"))
            try server.verifyAllFired()
        }
    }
}
