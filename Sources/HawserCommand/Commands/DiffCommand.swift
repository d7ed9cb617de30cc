import ArgumentParser
import Hawser

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what differs between two snapshots.",
        discussion: """
            + added, - removed, M content changed, T kind changed, U metadata changed (with --metadata).

            Example: hawser diff 7a1b latest
            """
    )

    @Argument(help: "The older snapshot: an id, the beginning of one, or latest; with :PATH, a part of it.")
    var first: SnapshotReference

    @Argument(help: "The newer snapshot.")
    var second: SnapshotReference

    @Flag(help: "Also entries of which only metadata differs.")
    var metadata = false

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if first.path != second.path { throw ValidationError("Both snapshots need the same :PATH, or none.") }
    }

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.restore) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        let old = try await repository.snapshot(named: first.name, filter.filter())
        let new = try await repository.snapshot(named: second.name, filter.filter())
        let scope = first.path.map { PathScope(subtrees: [$0]) } ?? .all
        let console = Console.shared
        console.note("from snapshot \(old.id.hex.prefix(8)) to \(new.id.hex.prefix(8)):")
        var statistics = DiffStatistics()
        var problems = 0
        var changes = repository.diff(old.snapshot.root, new.snapshot.root, in: scope).makeAsyncIterator()
        while true {
            try Task.checkCancellation()
            try console.checkOutput()
            do {
                guard let change = try await changes.next() else { break }
                guard let modifier = statistics.take(change, metadata: metadata) else { continue }
                show(change, modifier)
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                problems += 1
                ProblemText.report(error, during: "diff")
            }
        }
        if console.isJSON {
            console.json(statistics.json(source: old.id, target: new.id))
        } else {
            console.note("")
            for line in statistics.lines { console.note(line) }
        }
        if problems > 0 { throw ExitCode.failedQuietly }
    }

    private func show(_ change: TreeDiff.Change, _ modifier: String) {
        let entry =
            switch change {
            case .added(let entry), .removed(let entry), .changed(_, let entry): entry
            }
        var path = entry.path.absoluteBytes
        if entry.kind == .directory, path.count > 1 { path.append(UInt8(ascii: "/")) }
        guard Console.shared.isJSON else {
            return Console.shared.result(modifier + "    " + displayText(path))
        }
        var object = JSONObject(type: "change")
        object.set(text: path, as: "path")
        object["modifier"] = .string(modifier)
        Console.shared.json(object)
    }
}

/// Counts changes.
struct DiffStatistics {
    struct Side {
        var files = 0
        var directories = 0
        var others = 0
        var bytes: UInt64 = 0

        mutating func take(_ entry: Entry) {
            switch entry.kind {
            case .file:
                files += 1
                bytes &+= entry.size
            case .directory: directories += 1
            default: others += 1
            }
        }

        var json: JSONValue {
            var object = JSONObject()
            object["files"] = .integer(files)
            object["dirs"] = .integer(directories)
            object["others"] = .integer(others)
            object["bytes"] = .integer(bytes)
            return .object(object)
        }
    }

    private(set) var changedFiles = 0
    private(set) var added = Side()
    private(set) var removed = Side()

    /// - Returns: restic's letter of the change; `nil` for one that is not shown.
    mutating func take(_ change: TreeDiff.Change, metadata: Bool) -> String? {
        switch change {
        case .added(let entry):
            added.take(entry)
            return "+"
        case .removed(let entry):
            removed.take(entry)
            return "-"
        case .changed(let old, let new):
            if old.kind != new.kind { return "T" }
            if old.content != new.content || old.size != new.size || old.linkTarget != new.linkTarget
                || old.device != new.device
            {
                changedFiles += 1
                return "M"
            }
            return metadata ? "U" : nil
        }
    }

    var lines: [String] {
        [
            "Files:  \(added.files) new, \(removed.files) removed, \(changedFiles) changed",
            "Dirs:   \(added.directories) new, \(removed.directories) removed",
            "Others: \(added.others) new, \(removed.others) removed",
            "Bytes:  \(ByteSize.text(added.bytes)) added, \(ByteSize.text(removed.bytes)) removed",
        ]
    }

    func json(source: ObjectName, target: ObjectName) -> JSONObject {
        var object = JSONObject(type: "statistics")
        object["source_snapshot"] = .string(source.hex)
        object["target_snapshot"] = .string(target.hex)
        object["changed_files"] = .integer(changedFiles)
        object["added"] = added.json
        object["removed"] = removed.json
        return object
    }
}
