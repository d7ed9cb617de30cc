import ArgumentParser
import Foundation
import Hawser
import Testing

@testable import HawserCommand

@Suite("Options of storage and limits")
struct StorageOptionTests {
    @Test("Options of S3 storage, before the command too")
    func options() throws {
        let arguments = LeadingOptions.movedBehindCommand(
            [
                "-r", "s3:https://h.example/b", "--cacert", "/ca.pem", "-o", "s3.region=x", "snapshots", "-o",
                "s3.bucket-lookup=dns", "-o", "s3.connections=8", "-o", "s3.profile=p",
            ],
            root: RootCommand.self
        )
        let command = try #require(try RootCommand.parseAsRoot(arguments) as? SnapshotsCommand)
        let settings = try command.options.storage.s3()
        #expect(settings.certificateAuthorities == "/ca.pem" && settings.region == "x")
        #expect(settings.addressing == .virtualHost && settings.connections == 8 && settings.profile == "p")
        let location = try command.options.location()
        #expect(location == .s3(try S3URL(parsing: "s3:https://h.example/b"), settings: settings))
    }

    @Test(
        "What is no option is wrong usage",
        arguments: ["s3.region", "s3.region=", "s3.bucket-lookup=x", "s3.connections=0", "s3.connections=x", "x=y"]
    )
    func wrong(option: String) {
        do {
            _ = try SnapshotsCommand.parse(["-r", "s3:b", "-o", option])
            Issue.record("accepted")
        } catch {
            #expect(SnapshotsCommand.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("More memory by default with S3, and what is given in any case")
    func memory() throws {
        #expect(try SnapshotsCommand.parse(["-r", "/x"]).options.memoryBytes == 128 << 20)
        #expect(try SnapshotsCommand.parse(["-r", "s3:b"]).options.memoryBytes == 192 << 20)
        #expect(try SnapshotsCommand.parse(["-r", "s3:b", "--memory", "96M"]).options.memoryBytes == 96 << 20)
    }

    @Test("A file of limits")
    func limits() throws {
        let given = ThrottledStore.Limits(upload: 1, download: 2)
        let read = { (text: String) in
            try LimitFile.parse(Array(text.utf8), otherwise: given, place: "f")
        }
        #expect(try read("") == given)
        #expect(try read("# slow by day\nupload = 2048\n") == .init(upload: 2 << 20, download: 2))
        #expect(try read("upload=0\ndownload=1\n") == .init(upload: nil, download: 1 << 10))
        for text in ["upload", "upload=x", "upload=-1", "sideways=1", "upload=1=2"] {
            #expect(throws: HawserError.self) { try read(text) }
        }
    }

    @Test("The table says what is missing for what")
    func table() {
        var profile = StorageProfile()
        profile.traits = [.conditionalPut: true, .checksSHA256: false]
        profile.region = "us-east-1"
        profile.clockAhead = .seconds(-120)
        let lines = StorageProbeCommand.table(profile)
        #expect(lines.contains { $0.hasPrefix("conditional-put") && $0.contains("yes") })
        #expect(lines.contains { $0.hasPrefix("checks-sha256") && $0.contains("no ") && $0.contains("Content-MD5") })
        #expect(lines.contains { $0.hasPrefix("object-lock") && $0.contains("not known") })
        #expect(lines.contains { $0.hasPrefix("clock") && $0.contains("120 s behind") })
        let json = StorageProbeCommand.json(profile)
        #expect(
            json["checks_sha256"] == .bool(false) && json["object_lock"] == .null
                && json["clock_ahead"] == .integer(-120)
        )
    }
}
