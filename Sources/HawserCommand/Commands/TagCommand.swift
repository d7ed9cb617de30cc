import ArgumentParser
import Hawser

struct TagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag",
        abstract: "Change the tags of snapshots.",
        discussion: """
            Without names all snapshots that match are changed. A snapshot with other tags is a new one, which takes the old one's place.

            Example: hawser tag --add keep --remove daily latest
            """
    )

    @Argument(help: "The snapshots: ids, beginnings of ids, or latest.")
    var names: [String] = []

    @Option(help: ArgumentHelp("These are the tags from now on; empty removes all.", valueName: "tag,tag"))
    var set: [String] = []

    @Option(help: ArgumentHelp("Add these tags.", valueName: "tag,tag"))
    var add: [String] = []

    @Option(help: ArgumentHelp("Remove these tags.", valueName: "tag,tag"))
    var remove: [String] = []

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if set.isEmpty, add.isEmpty, remove.isEmpty { throw ValidationError("Give --set, --add or --remove.") }
        if !set.isEmpty, !add.isEmpty || !remove.isEmpty {
            throw ValidationError("--set goes without --add and --remove.")
        }
        guard (add + remove).allSatisfy({ !TagList.parse($0).isEmpty }) else {
            throw ValidationError("A tag is empty.")
        }
    }

    func run() async throws {
        options.output.apply()
        let change: TagChange =
            set.isEmpty
            ? .change(adding: add.flatMap(TagList.parse), removing: remove.flatMap(TagList.parse))
            : .set(set.flatMap(TagList.parse))
        try await options.withRepository(.prune) { try await run($0, change) }
    }

    private func run(_ repository: Repository, _ change: TagChange) async throws {
        var snapshots: [StoredSnapshot] = []
        if names.isEmpty {
            snapshots = try await repository.snapshots(filter.filter())
        } else {
            for name in names { snapshots.append(try await repository.snapshot(named: name, filter.filter())) }
        }
        var count = 0
        for stored in snapshots {
            guard let id = try await repository.retag(stored, change) else { continue }
            count += 1
            var object = JSONObject(type: "changed")
            object["old_snapshot_id"] = .string(stored.id.hex)
            object["new_snapshot_id"] = .string(id.hex)
            Console.shared.json(object)
            Console.shared.details("\(stored.id.hex.prefix(8)) is \(id.hex.prefix(8)) now")
        }
        var summary = JSONObject(type: "summary")
        summary["changed_snapshots"] = .integer(count)
        Console.shared.json(summary)
        Console.shared.result("changed the tags of \(counted(count, "snapshot"))")
    }
}
