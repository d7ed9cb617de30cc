import Foundation
import Testing

@Suite("Manual pages")
struct ManPageTests {
    private struct Help: Decodable {
        struct Command: Decodable {
            var commandName: String
            var arguments: [Argument]?
            var subcommands: [Command]?
        }

        struct Argument: Decodable {
            struct Name: Decodable {
                var kind: String
                var name: String
            }

            var kind: String
            var names: [Name]?
            var valueName: String
            var shouldDisplay: Bool
        }

        var command: Command
    }

    @Test("Every command has a page, with all its options and values")
    func coversEverything() async throws {
        let bench = try Workbench()
        let folder = bench.directory.path + "/man1"
        let script = URL(filePath: #filePath).appending(path: "../../../scripts/man").standardizedFileURL.path
        let made = try await RunningCommand(
            "/usr/bin/env",
            ["python3", script, "--binary", HawserBinary.path(), folder],
            environment: bench.environment
        ).result()
        made.expect(0)
        let help = try await bench.hawser("--experimental-dump-help")
        var pages: Set<String> = []
        func expect(_ command: Help.Command, _ words: [String]) throws {
            let name = words.joined(separator: "-") + ".1"
            pages.insert(name)
            let page = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
                .replacingOccurrences(of: "\\-", with: "-")
            for argument in command.arguments ?? [] where argument.shouldDisplay {
                for option in argument.names ?? [] {
                    #expect(page.contains((option.kind == "short" ? "-" : "--") + option.name), "\(name): \(option)")
                }
                if argument.kind != "flag" { #expect(page.contains(argument.valueName), "\(name): \(argument)") }
            }
            for next in command.subcommands ?? [] where next.commandName != "help" {
                try expect(next, words + [next.commandName])
            }
        }
        try expect(JSONDecoder().decode(Help.self, from: help.output).command, ["hawser"])
        #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder)) == pages)
        #expect(pages.count > 15)
    }
}
