import ArgumentParser
import Hawser

struct ForgetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Remove snapshots, by name or by a policy.",
        discussion: """
            The policy is applied to each group of snapshots by itself; a snapshot stays if any rule keeps it. The space that \
            removed snapshots took comes back with «hawser prune».

            Examples:
              hawser forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --prune
              hawser forget --keep-within 30d --dry-run
              hawser forget 1a2b3c4d
            """
    )

    @Argument(help: "Remove these: ids, beginnings of ids, or latest.")
    var names: [String] = []

    @OptionGroup(title: "Policy") var policy: RetentionOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Group by host, paths, tags; empty for one group.", valueName: "host,paths,tags")
    )
    var groupBy: SnapshotGrouping = .hostAndPaths

    @Flag(
        help: ArgumentHelp(
            "Go by the times that the snapshots say.",
            discussion:
                "Otherwise: at a provider, when he took note of a snapshot; elsewhere its own time, but not later than the storage had it."
        )
    )
    var trustOwnTimes = false

    @Flag(name: [.customShort("n"), .long], help: "Remove nothing, say what would be and why.")
    var dryRun = false

    @Flag(help: "Prune afterwards, if anything was removed.")
    var prune = false

    @OptionGroup(title: "Prune") var pruning: PruneSettings
    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if names.isEmpty == policy.isEmpty {
            throw ValidationError(
                names.isEmpty
                    ? "Give snapshots, or a policy such as --keep-last 7." : "Give snapshots or a policy, not both."
            )
        }
    }

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.prune) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        let ids: [ObjectName]
        if names.isEmpty {
            ids = try await decide(repository)
        } else {
            ids = try await named(repository)
        }
        if !dryRun, !ids.isEmpty { try await repository.forget(ids) }
        if names.isEmpty || !Console.shared.isJSON {
            Console.shared.result("\(dryRun ? "would remove" : "removed") \(counted(ids.count, "snapshot"))")
        }
        guard prune, !ids.isEmpty, !dryRun else { return }
        try await PruneRun(settings: pruning, options: options, dryRun: false).run(repository)
    }

    /// A snapshot that can't be read can be removed as well, by its id.
    private func named(_ repository: Repository) async throws -> [ObjectName] {
        var ids: Set<ObjectName> = []
        for name in names {
            if name == "latest" {
                ids.insert(try await repository.snapshot(named: name, filter.filter()).id)
            } else {
                ids.insert(try await repository.snapshotID(named: name))
            }
        }
        for id in ids.sorted() {
            Console.shared.details("\(dryRun ? "would remove" : "removing") \(id.hex.prefix(8))")
            var object = JSONObject(type: "removed")
            object["snapshot_id"] = .string(id.hex)
            Console.shared.json(object)
        }
        return ids.sorted()
    }

    private func decide(_ repository: Repository) async throws -> [ObjectName] {
        let policy = try policy.policy()
        func warn(_ key: ObjectKey, _ error: HawserError) {
            Console.shared.warning(
                "can't be read and stays: \(key.path): \(Failure.text(error, besides: key.path)) «hawser forget \(key.name?.hex.prefix(8) ?? "ID")» removes it."
            )
        }
        let candidates = try await repository.retentionCandidates(
            filter.filter(),
            trustsOwnTimes: trustOwnTimes,
            unreadable: warn
        )
        let byID = Dictionary(candidates.map { ($0.stored.id, $0) }) { first, _ in first }
        let now = repository.storageTime ?? .now
        let decided = groupBy.groups(candidates.map(\.stored)).map { group in
            ForgetReport.Group(
                group: group,
                decisions: policy.decide(
                    group.snapshots.compactMap { byID[$0.id] },
                    now: now,
                    zone: TimeText.secondsAheadOfUTC
                )
            )
        }
        try ForgetReport.show(decided, groupBy: groupBy)
        return decided.flatMap(\.decisions).filter { !$0.isKept }.map(\.candidate.stored.id)
    }
}
