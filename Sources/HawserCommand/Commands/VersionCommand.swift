import ArgumentParser
import Hawser

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version.",
        discussion: "Example: hawser version --json"
    )

    @OptionGroup var output: OutputOptions

    func run() async throws {
        output.apply()
        var object = JSONObject(type: "version")
        object["version"] = .string(HawserVersion.number)
        object["os"] = .string(Self.system)
        object["arch"] = .string(Self.processor)
        Console.shared.json(object)
        Console.shared.result("\(HawserVersion.text) on \(Self.system)/\(Self.processor)")
    }

    #if os(Linux)
        private static let system = "linux"
    #else
        private static let system = "macos"
    #endif

    #if arch(x86_64)
        private static let processor = "x86_64"
    #else
        private static let processor = "arm64"
    #endif
}
