import ArgumentParser
import Hawser

struct FindCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find",
        abstract: "Find entries in the snapshots.",
        discussion: """
            A pattern without a slash is compared with names, one with slashes with paths.

            Example: hawser find '*.txt' '/home/*/letters/**' --host web1
            """
    )

    @Argument(help: "Patterns, as for backup --exclude.")
    var patterns: [String]

    @Flag(name: .shortAndLong, help: "Whatever the case of the letters.")
    var ignoreCase = false

    @Flag(name: .shortAndLong, help: "Also modes, owners, sizes and times.")
    var long = false

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Only in this snapshot; can be given several times.", valueName: "snapshot")
    )
    var snapshot: [String] = []

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if patterns.isEmpty { throw ValidationError("Give a pattern.") }
    }

    func run() async throws {
        options.output.apply()
        let matchers = try asUsage { try patterns.map { try NameMatcher($0.rawBytes, ignoringCase: ignoreCase) } }
        try await options.withRepository(.restore) { try await run($0, matchers) }
    }

    private func run(_ repository: Repository, _ matchers: [NameMatcher]) async throws {
        var snapshots: [StoredSnapshot] = []
        if snapshot.isEmpty {
            snapshots = try await repository.snapshots(filter.filter()) { key, error in
                ProblemText.report(error, item: key.path.rawBytes, during: "listing", isApart: true)
            }
        } else {
            for name in snapshot { snapshots.append(try await repository.snapshot(named: name, filter.filter())) }
        }
        let console = Console.shared
        var results: [JSONValue] = []
        var problems = 0
        // The newest first: there what is looked for is most likely the right one.
        for stored in snapshots.reversed() {
            var matches: [JSONValue] = []
            var hits = 0
            var walk = EntryWalk(repository.entries(of: stored.snapshot.root), problemsApart: true)
            while let entry = try await walk.next() {
                guard !entry.path.isRoot, matchers.contains(where: { $0.matches(entry.path) }) else { continue }
                if console.isJSON {
                    matches.append(.object(EntryText.json(entry)))
                } else {
                    if hits == 0 {
                        console.note(
                            "in snapshot \(stored.id.hex.prefix(8)) of \(TimeText.local(stored.snapshot.time)):"
                        )
                    }
                    console.result(EntryText.line(entry, long: long))
                }
                hits += 1
            }
            problems += walk.problems
            guard hits > 0 else { continue }
            console.note("")
            var result = JSONObject()
            result["hits"] = .integer(hits)
            result["snapshot"] = .string(stored.id.hex)
            result["matches"] = .array(matches)
            results.append(.object(result))
        }
        console.json(array: results)
        if problems > 0 { throw ExitCode.failedQuietly }
    }
}

/// Compares entries themselves, not what lies below them.
struct NameMatcher {
    private let pattern: PathPattern
    private let isName: Bool

    init(_ text: [UInt8], ignoringCase: Bool) throws {
        pattern = try PathPattern(text, ignoringCase: ignoringCase)
        isName = !text.contains(UInt8(ascii: "/"))
    }

    func matches(_ path: EntryPath) -> Bool {
        if isName { return EntryPath(path.name).map(pattern.matches) ?? false }
        return pattern.matches(path) && !(path.parent.map(pattern.matches) ?? false)
    }
}
