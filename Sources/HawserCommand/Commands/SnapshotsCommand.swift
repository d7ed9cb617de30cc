import ArgumentParser
import Hawser

struct SnapshotsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "List the snapshots.",
        discussion: "Example: hawser snapshots --host web1 --tag daily --group-by host"
    )

    @Argument(help: "Only these: ids, beginnings of ids, or latest.")
    var names: [String] = []

    @Option(name: .shortAndLong, help: ArgumentHelp("Group by host, paths, tags.", valueName: "host,paths,tags"))
    var groupBy: SnapshotGrouping?

    @Option(help: ArgumentHelp("Only the newest N of each host and paths, or of each group.", valueName: "N"))
    var latest: UInt?

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if latest == 0 { throw ValidationError("--latest takes 1 or more.") }
    }

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.restore) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        var found: [StoredSnapshot] = []
        var unreadable = 0
        if names.isEmpty {
            found = try await repository.snapshots(filter.filter()) { key, error in
                unreadable += 1
                ProblemText.report(error, item: key.path.rawBytes, during: "listing", isApart: true)
            }
        } else {
            for name in names {
                let snapshot = try await repository.snapshot(named: name, filter.filter())
                if !found.contains(where: { $0.id == snapshot.id }) { found.append(snapshot) }
            }
        }
        if let latest {
            let newest = (groupBy ?? .hostAndPaths).groups(found).flatMap { group in
                group.snapshots.sorted { $0.snapshot.time < $1.snapshot.time }.suffix(Int(clamping: latest))
            }
            let ids = Set(newest.map(\.id))
            found.removeAll { !ids.contains($0.id) }
        }
        let groups = groupBy?.groups(found) ?? [SnapshotGrouping.Group(snapshots: found)]
        if Console.shared.isJSON {
            try printJSON(groups)
        } else {
            SnapshotTable.print(groups)
        }
        if unreadable > 0 { throw ExitCode.failedQuietly }
    }

    private func printJSON(_ groups: [SnapshotGrouping.Group]) throws {
        guard let groupBy else {
            return Console.shared.json(array: try groups.flatMap(\.snapshots).map { .object(try $0.listed) })
        }
        Console.shared.json(
            array: try groups.map { group in
                var object = JSONObject()
                object["group_key"] = .object(groupBy.key(group))
                object["snapshots"] = .array(try group.snapshots.map { .object(try $0.listed) })
                return .object(object)
            }
        )
    }
}

extension StoredSnapshot {
    /// As restic lists it: its fields and what it is called.
    var listed: JSONObject {
        get throws {
            var object = try snapshot.json().object ?? JSONObject()
            object["id"] = .string(id.hex)
            object["short_id"] = .string(String(id.hex.prefix(8)))
            return object
        }
    }
}
