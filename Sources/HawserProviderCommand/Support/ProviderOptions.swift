import ArgumentParser
import Glibc
import HawserFormat
import HawserProvider

/// What all commands have.
struct ProviderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The server's data folder. [HAWSER_PROVIDER_DATA]", valueName: "dir"),
        completion: .directory
    )
    var dataDir: String?

    @Option(
        help: ArgumentHelp(
            "The provider key, outside the data folder. [HAWSER_PROVIDER_KEY_FILE]",
            valueName: "file"
        ),
        completion: .file()
    )
    var keyFile: String?

    @Option(
        help: ArgumentHelp(
            "Run this command and take what it prints as the provider key. [HAWSER_PROVIDER_KEY_COMMAND]",
            valueName: "command"
        )
    )
    var keyCommand: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if keyFile != nil, keyCommand != nil {
            throw ValidationError("Give --key-file or --key-command, not both.")
        }
    }

    static let defaultFolder = "/var/lib/hawser-provider"

    /// What is given as an option goes before the environment.
    var folder: ProviderFolder {
        let path = dataDir ?? Environment.value("HAWSER_PROVIDER_DATA") ?? Self.defaultFolder
        let source: ProviderFolder.KeySource? =
            if let keyFile {
                .file(keyFile)
            } else if let keyCommand {
                .command(keyCommand)
            } else if let file = Environment.value("HAWSER_PROVIDER_KEY_FILE") {
                .file(file)
            } else {
                Environment.value("HAWSER_PROVIDER_KEY_COMMAND").map { .command($0) }
            }
        return ProviderFolder(path, keySource: source)
    }

    /// By the running server; or on the database, when none runs.
    func perform<Request: AdminRequest>(_ request: Request) async throws -> Request.Answer {
        try await Administration.with(folder) { try await $0.perform(request) }
    }
}

enum Environment {
    /// `nil` when it is not set, or empty.
    static func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    static func number(_ name: String) throws -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Int(text) else { throw ValidationError("\(name) is a number, not \(text).") }
        return number
    }

    /// With commas between them.
    static func list(_ name: String) -> [String] {
        (value(name) ?? "").split(separator: ",").map(String.init)
    }
}
