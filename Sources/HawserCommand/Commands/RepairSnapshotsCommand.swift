import ArgumentParser
import Hawser

struct RepairSnapshotsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "Make snapshots without what is lost.",
        discussion: """
            A snapshot that needs chunks which are in no pack any more gets another one beside it, with all the rest: files of \
            which a part is lost have zeros there, files of which nothing is left are missing. The old snapshot stays until it \
            is forgotten. Refs that can't be read are written again. Run «hawser repair packs» and a backup before: they may \
            bring back what seems lost.

            Example: hawser repair snapshots --dry-run
            """
    )

    @Argument(help: "Only these: ids, beginnings of ids, or latest. (default: all that match)")
    var names: [String] = []

    @Flag(name: [.customShort("n"), .long], help: "Write nothing, say what is lost.")
    var dryRun = false

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.prune) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        var snapshots: [StoredSnapshot] = []
        var unreadable = 0
        if names.isEmpty {
            snapshots = try await repository.snapshots(filter.filter()) { key, error in
                unreadable += 1
                Console.shared.warning(
                    "can't be read: \(key.path): \(Failure.text(error, besides: key.path)) «hawser forget \(key.name?.hex.prefix(8) ?? "ID")» removes it."
                )
            }
        } else {
            for name in names { snapshots.append(try await repository.snapshot(named: name, filter.filter())) }
        }
        let summary = try await repository.repairSnapshots(
            snapshots,
            dryRun: dryRun,
            memory: options.memoryBytes
        ) { stored, loss in Self.show(stored, loss) }
        var object = JSONObject(type: "summary")
        object["snapshots"] = .integer(summary.snapshots)
        object["snapshots_damaged"] = .integer(summary.losses.count)
        object["refs_repaired"] = .integer(summary.refsRepaired.count)
        object["dry_run"] = .bool(dryRun)
        Console.shared.json(object)
        if !dryRun, !summary.losses.isEmpty {
            Console.shared.note("The damaged snapshots stay until they are forgotten: «hawser forget ID».")
        }
        Console.shared.result(
            "\(summary.losses.count) of \(summary.snapshots) snapshots are damaged, the refs of \(summary.refsRepaired.count) were not right"
        )
        if unreadable > 0 { throw ExitCode.failedQuietly }
    }

    private static func show(_ stored: StoredSnapshot, _ loss: SnapshotRepairSummary.Loss) {
        let console = Console.shared
        if console.isJSON {
            var object = JSONObject(type: "repaired")
            object["snapshot_id"] = .string(stored.id.hex)
            if let new = loss.replacement { object["new_snapshot_id"] = .string(new.hex) }
            object.set(texts: loss.damaged.map(\.path.absoluteBytes), as: "damaged_files")
            object.set(texts: loss.missing.map(\.absoluteBytes), as: "missing")
            object["unreadable_pages"] = .integer(loss.unreadable.count)
            return console.json(object)
        }
        let id = stored.id.hex.prefix(8)
        for (path, bytes) in loss.damaged {
            console.warning("\(id): \(bytes) bytes are lost: \(displayText(path.absoluteBytes))")
        }
        for path in loss.missing { console.warning("\(id): lost: \(displayText(path.absoluteBytes))") }
        for path in loss.unreadable {
            console.warning("\(id): a part of the tree is lost, from \(displayText(path.utf8)) on")
        }
        if let new = loss.replacement { console.result("\(new.hex.prefix(8)) has what is left of \(id)") }
    }
}
