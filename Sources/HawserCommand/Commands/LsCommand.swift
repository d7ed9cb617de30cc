import ArgumentParser
import Hawser

struct LsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the entries of a snapshot.",
        discussion: """
            Without a path everything is listed; with paths, what lies in these folders, with --recursive also below.

            Example: hawser ls latest /home/ada --long
            """
    )

    @Argument(help: "The snapshot: an id, the beginning of one, or latest; with :PATH, a part of it.")
    var snapshot: SnapshotReference

    @Argument(help: "Folders or files in the snapshot.")
    var paths: [String] = []

    @Flag(name: .shortAndLong, help: "Also modes, owners, sizes and times.")
    var long = false

    @Flag(help: "Also what lies below the folders.")
    var recursive = false

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        let scope = try scope()
        try await options.withRepository(.restore) { try await run($0, scope) }
    }

    private func run(_ repository: Repository, _ scope: PathScope) async throws {
        let found = try await repository.snapshot(named: snapshot.name, filter.filter())
        let console = Console.shared
        var header = try found.listed
        header["message_type"] = .string("snapshot")
        header["struct_type"] = .string("snapshot")
        console.json(header)
        console.note("snapshot \(found.id.hex.prefix(8)) of \(TimeText.local(found.snapshot.time)):")
        var walk = EntryWalk(repository.entries(of: found.snapshot.root, in: scope))
        var missing = try asked()
        while let entry = try await walk.next() {
            missing.remove(entry.path)
            if entry.path.isRoot { continue }
            if console.isJSON {
                var object = EntryText.json(entry)
                object["message_type"] = .string("node")
                object["struct_type"] = .string("node")
                console.json(object)
            } else {
                console.result(EntryText.line(entry, long: long))
            }
        }
        if let path = missing.min(), walk.problems == 0 {
            let more = missing.count > 1 ? " \(missing.count - 1) more are not there either." : ""
            throw HawserError(.notFound, "The snapshot does not have this path." + more, place: path.description)
        }
        if walk.problems > 0 { throw ExitCode.failedQuietly }
    }

    private func asked() throws -> Set<EntryPath> {
        Set(try paths.map { try EntryPath(argument: $0) } + (snapshot.part.map { [$0] } ?? []))
    }

    private func scope() throws -> PathScope {
        var ranges: [PathRange] = []
        if let path = snapshot.part { ranges += [.only(path), .below(path)] }
        for text in paths {
            let path = try EntryPath(argument: text)
            ranges += [.only(path), recursive ? .below(path) : .children(of: path)]
        }
        return ranges.isEmpty ? PathScope.all : PathScope(ranges)
    }
}

extension EntryPath {
    /// As given on the command line: absolute, with or without the slash in front.
    init(argument text: String) throws {
        let bytes = text.rawBytes.trimmingSlashes
        guard let path = bytes == [UInt8(ascii: "/")] ? .root : EntryPath(bytes) else {
            throw ValidationError(
                "«\(displayText(text.rawBytes))» is not a path of a snapshot: give it without . and .."
            )
        }
        self = path
    }
}
