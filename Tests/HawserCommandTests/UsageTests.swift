import ArgumentParser
import Foundation
import Glibc
import Hawser
import Testing

@testable import HawserCommand

@Suite("Usage and output")
struct UsageTests {
    @Test("What can't be meant is wrong usage; other errors stay what they are")
    func usage() throws {
        for code in [HawserError.Code.invalidArgument, .notFound] {
            do {
                try asUsage { throw HawserError(code, "No.") }
            } catch {
                let isUsage = RootCommand.exitCode(for: error).rawValue == ExitStatus.usage
                #expect(isUsage == (code == .invalidArgument), "\(error)")
            }
        }
    }

    @Test("What a running command finds is told with that command's usage")
    func usageOfTheCommand() {
        let text = WrongUsage(ValidationError("Not that."), of: ForgetCommand.self).text
        #expect(text.hasPrefix("Error: Not that.\nUsage: hawser forget "))
    }

    @Test("A cache is as large as its files")
    func cacheSizes() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "hawser-cache-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        let id = String(repeating: "ab", count: 32)
        try FileManager.default.createDirectory(atPath: root + "/" + id + "/index", withIntermediateDirectories: true)
        try Data(count: 1000).write(to: URL(filePath: root + "/" + id + "/index/run"))
        try Data(count: 24).write(to: URL(filePath: root + "/" + id + "/generation"))
        let caches = LocalCache.all(in: root)
        #expect(caches.map(\.id) == [id])
        #expect(caches.first?.size == 1024)
        #expect(caches.first.map { abs($0.used.timeIntervalSinceNow) < 3600 } == true)
    }

    @Test("Numbers go with their nouns")
    func numbers() {
        #expect(counted(1, "file") == "1 file")
        #expect(counted(0, "file") == "0 files")
        #expect(counted(UInt64(2), "entry", "entries") == "2 entries")
    }

    @Test("A device that is full, and a pipe that nobody reads, are noticed")
    func failures() throws {
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        defer { close(full) }
        #expect { try OutputFile(descriptor: full).write([1]) } throws: {
            ($0 as? OutputFailure)?.code == ENOSPC
        }
        #expect(OutputFailure(code: EPIPE).isUnwanted && !OutputFailure(code: ENOSPC).isUnwanted)
    }

    @Test("The path of an entry is not said twice")
    func places() throws {
        let path = try #require(EntryPath("a/b".utf8))
        let error = HawserError(.fileSystem, "No.", place: "/a/b")
        #expect(Failure.text(error, besides: path.description) == "No.")
        let other = HawserError(.fileSystem, "No.", place: "/c", cause: HawserError(.notFound, "Gone.", place: "/c"))
        #expect(Failure.text(other, besides: path.description) == "/c: No. (Gone.)")
        let object = ProblemText.json(error, item: path.absoluteBytes, during: "restore")
        #expect(object["error"]?.object?["message"]?.string == "No.")
    }
}
