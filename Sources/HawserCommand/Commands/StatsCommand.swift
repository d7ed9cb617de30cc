import ArgumentParser
import Hawser

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show sizes.",
        discussion: """
            Modes: restore-size is what restoring the snapshots gives; raw-data is the different chunks that they need; storage is all \
            objects that the repository has.

            Example: hawser stats latest --mode raw-data
            """
    )

    enum Mode: String, ExpressibleByArgument, CaseIterable {
        case restoreSize = "restore-size"
        case rawData = "raw-data"
        case storage
    }

    @Argument(help: "The snapshots: ids, beginnings of ids, or latest. (default: all that match)")
    var names: [String] = []

    @Option(help: "What is counted.")
    var mode: Mode = .restoreSize

    @OptionGroup(title: "Snapshots") var filter: SnapshotFilterOptions
    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func run() async throws {
        options.output.apply()
        try await options.withRepository(.restore) { try await run($0) }
    }

    private func run(_ repository: Repository) async throws {
        if mode == .storage { return show(try await repository.storedObjects()) }
        var snapshots: [StoredSnapshot] = []
        if names.isEmpty {
            snapshots = try await repository.snapshots(filter.filter())
        } else {
            for name in names { snapshots.append(try await repository.snapshot(named: name, filter.filter())) }
        }
        let trees = snapshots.map(\.snapshot)
        switch mode {
        case .rawData: show(try await repository.rawDataSize(of: trees), snapshots: trees.count)
        case .restoreSize, .storage: show(try await repository.restoreSize(of: trees))
        }
    }

    private func show(_ size: RestoreSize) {
        var object = JSONObject()
        object["total_size"] = .integer(size.bytes)
        object["total_file_count"] = .integer(size.entries)
        object["snapshots_count"] = .integer(size.snapshots)
        Console.shared.json(object)
        Console.shared.result("Snapshots:   \(size.snapshots)")
        Console.shared.result("Entries:     \(size.entries)")
        Console.shared.result("Files:       \(size.files)")
        Console.shared.result("Total size:  \(ByteSize.text(size.bytes))")
    }

    private func show(_ size: RawDataSize, snapshots: Int) {
        var object = JSONObject()
        object["total_size"] = .integer(size.storedBytes)
        object["total_uncompressed_size"] = .integer(size.plainBytes)
        object["compression_ratio"] = .number(ByteSize.decimals(size.compressionRatio, 4))
        object["total_blob_count"] = .integer(size.chunks)
        object["unreadable_blob_count"] = .integer(size.unreadable)
        object["snapshots_count"] = .integer(snapshots)
        Console.shared.json(object)
        Console.shared.result("Snapshots:     \(snapshots)")
        Console.shared.result("Chunks:        \(size.chunks)")
        Console.shared.result("Stored size:   \(ByteSize.text(size.storedBytes))")
        Console.shared.result("Plain size:    \(ByteSize.text(size.plainBytes))")
        Console.shared.result("Compression:   \(ByteSize.decimals(size.compressionRatio, 2))x")
        if size.unreadable > 0 {
            Console.shared.warning(
                "\(counted(size.unreadable, "chunk is", "chunks are")) missing or damaged: run «hawser check»"
            )
        }
    }

    private func show(_ objects: [ObjectKind: StoredObjects]) {
        let count = objects.values.reduce(0) { $0 + $1.count }
        let bytes = objects.values.reduce(0) { $0 + $1.bytes }
        var object = JSONObject()
        object["total_size"] = .integer(bytes)
        object["total_object_count"] = .integer(count)
        var kinds = JSONObject()
        var rows = [["Objects", "Count", "Size"]]
        for (kind, stored) in objects.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            var item = JSONObject()
            item["count"] = .integer(stored.count)
            item["size"] = .integer(stored.bytes)
            kinds[kind.prefix] = .object(item)
            rows.append([kind.prefix, String(stored.count), ByteSize.text(stored.bytes)])
        }
        object["kinds"] = .object(kinds)
        Console.shared.json(object)
        rows.append(["total", String(count), ByteSize.text(bytes)])
        for line in Columns.align(rows) { Console.shared.result(line) }
    }
}
