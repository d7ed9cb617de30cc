import ArgumentParser
import Hawser

struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage",
        abstract: "Find out what a storage can do.",
        subcommands: [StorageProbeCommand.self]
    )
}

struct StorageProbeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Find out what a storage can do, by doing it.",
        discussion: """
            Stores, reads and removes some small objects below probe/ in the repository's folder. There need not be a \
            repository, and no password is asked for; with --remember what was found is written into the repository's \
            configuration, as init does.

            Example: hawser storage probe --repository s3:https://s3.example.com/bucket/folder
            """
    )

    @Flag(help: "Write what was found into the repository's configuration.")
    var remember = false

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let location = try options.location()
        let storage = try await location.storage()
        guard let profile = try await storage.probe(.everything) else {
            throw HawserError(
                .unsupported,
                "A folder can do all that is needed: there is nothing to find out.",
                place: location.description
            )
        }
        Console.shared.json(Self.json(profile))
        for line in Self.table(profile) { Console.shared.result(line) }
        if let folder = profile.leftovers {
            Console.shared.note("These keys may not delete: some small objects are left in \(folder)")
        }
        if remember {
            try await options.withRepository(.prune) { try await $0.remember(profile) }
            Console.shared.result("written into the repository's configuration")
        }
    }

    static func table(_ profile: StorageProfile) -> [String] {
        var rows = [["What", "Result", "Therefore"]]
        for trait in StorageProfile.Trait.allCases {
            let result = profile.traits[trait]
            let consequence = result == false ? trait.consequence : ""
            rows.append([trait.rawValue, result.map { $0 ? "yes" : "no" } ?? "not known", consequence])
        }
        if let region = profile.region { rows.append(["region", displayText(region.utf8), ""]) }
        if let ahead = profile.clockAhead {
            let seconds = ahead.components.seconds
            // Beyond 15 minutes S3 refuses requests.
            let warning = abs(seconds) > 60 ? "set this machine's clock: 15 minutes are too many" : ""
            let result = seconds == 0 ? "right" : "\(abs(seconds)) s " + (seconds > 0 ? "ahead" : "behind")
            rows.append(["clock", result, warning])
        }
        return Columns.align(rows)
    }

    static func json(_ profile: StorageProfile) -> JSONObject {
        var object = JSONObject(type: "storage")
        for trait in StorageProfile.Trait.allCases {
            object[trait.rawValue.split(separator: "-").joined(separator: "_")] =
                profile.traits[trait].map(JSONValue.bool) ?? .null
        }
        object["leftovers"] = profile.leftovers.map { .string($0) }
        object["region"] = profile.region.map { .string($0) }
        object["clock_ahead"] = (profile.clockAhead?.components.seconds).map { .integer($0) }
        return object
    }
}
