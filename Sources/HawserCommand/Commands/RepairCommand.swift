import ArgumentParser
import Hawser

struct RepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Repair a damaged repository.",
        subcommands: [RepairIndexCommand.self, RepairPacksCommand.self, RepairSnapshotsCommand.self]
    )
}

struct RepairIndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index",
        abstract: "Make the index again from the packs.",
        discussion: """
            The old index counts until the new one is whole. Backups may run meanwhile.

            Example: hawser repair index
            """
    )

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.prune) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        let console = Console.shared
        let summary = try await repository.repairIndex { progress in
            if console.isTerminal, !console.isJSON, console.detail > .quiet {
                console.show(progress: "\(progress.packsRead) of \(progress.packs) packs read")
            }
        }
        console.endProgress()
        for (key, error) in summary.unreadable.sorted(by: { $0.key < $1.key }) {
            if console.isJSON {
                console.json(ProblemText.json(error, item: key.path.rawBytes, during: "repair"))
            } else {
                console.warning("left out, can't be read: \(key.path): \(displayText(error.message.utf8))")
            }
        }
        var object = JSONObject(type: "summary")
        object["packs"] = .integer(summary.packs)
        object["chunks"] = .integer(summary.chunks)
        object["bytes"] = .integer(summary.storedBytes)
        object["segments_written"] = .integer(summary.segmentsWritten)
        object["segments_replaced"] = .integer(summary.segmentsReplaced)
        object["packs_unreadable"] = .integer(summary.unreadable.count)
        console.json(object)
        console.result(
            "the new index has \(counted(summary.chunks, "chunk")) in \(counted(summary.packs, "pack")), \(ByteSize.text(summary.storedBytes))"
        )
        if !summary.unreadable.isEmpty { throw ExitCode.failedQuietly }
    }
}
