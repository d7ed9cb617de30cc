import ArgumentParser
import Hawser

struct RepairPacksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "packs",
        abstract: "Save what can be read of damaged packs.",
        discussion: """
            Reads packs whole. What is left of damaged ones is stored again, and they are marked, so that «hawser prune» deletes \
            them. A backup afterwards stores again what the source still has of the rest; «hawser repair snapshots» makes \
            snapshots without what stays lost.

            Example: hawser repair packs
            """
    )

    @Argument(help: "Only these packs: their names, as check gives them. (default: all)")
    var packs: [String] = []

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let names = try packs.map { text in
            guard let name = ObjectName(hex: text.split(separator: "/").last ?? "") else {
                throw ValidationError("«\(displayText(text.rawBytes))» is not the name of a pack.")
            }
            return name
        }
        try await options.withRepository(.prune) { try await run($0, names) }
    }

    private func run(_ repository: Repository, _ names: [ObjectName]) async throws {
        let console = Console.shared
        let summary = try await repository.repairPacks(
            names.isEmpty ? nil : Set(names),
            memory: options.memoryBytes,
            now: { repository.storageTime ?? .now },
            progress: { progress in
                if console.isTerminal, !console.isJSON, console.detail > .quiet {
                    console.show(progress: "\(progress.packsRead) of \(progress.packs) packs read")
                }
            }
        )
        console.endProgress()
        for (key, error) in summary.damaged.sorted(by: { $0.key < $1.key }) {
            if console.isJSON {
                console.json(ProblemText.json(error, item: key.path.rawBytes, during: "repair"))
            } else {
                console.warning("damaged: \(key.path): \(displayText(error.message.utf8))")
            }
        }
        var object = JSONObject(type: "summary")
        object["packs_read"] = .integer(summary.packsRead)
        object["packs_damaged"] = .integer(summary.damaged.count)
        object["chunks_saved"] = .integer(summary.chunksSaved)
        object["chunks_lost"] = .integer(summary.chunksLost)
        console.json(object)
        if summary.damaged.isEmpty { return console.result("all \(summary.packsRead) packs are whole") }
        console.result(
            "\(summary.damaged.count) of \(summary.packsRead) packs are damaged: \(summary.chunksSaved) chunks saved, \(summary.chunksLost) lost; a prune deletes these packs"
        )
        if summary.chunksLost > 0 {
            console.note(
                "Back up again: what the source still has is stored again. Then «hawser repair snapshots» has earlier snapshots use it, and makes new ones of those that have lost something."
            )
            throw ExitCode.failedQuietly
        }
    }
}
