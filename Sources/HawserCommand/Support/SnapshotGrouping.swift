import ArgumentParser
import Hawser

/// `--group-by host,paths,tags`.
struct SnapshotGrouping: ExpressibleByArgument {
    struct Group {
        var host: [UInt8]?
        var paths: [[UInt8]]?
        var tags: [[UInt8]]?
        var snapshots: [StoredSnapshot]
    }

    private var host = false
    private var paths = false
    private var tags = false

    /// Restic's default for `forget`.
    static let hostAndPaths: SnapshotGrouping = {
        var grouping = SnapshotGrouping()
        grouping.host = true
        grouping.paths = true
        return grouping
    }()

    private init() {}

    init?(argument: String) {
        for part in argument.split(separator: ",") {
            switch part {
            case "host", "hosts": host = true
            case "path", "paths": paths = true
            case "tag", "tags": tags = true
            default: return nil
            }
        }
    }

    var defaultValueDescription: String {
        [host ? "host" : nil, paths ? "paths" : nil, tags ? "tags" : nil].compactMap { $0 }.joined(separator: ",")
    }

    /// In the order in which each group's first snapshot comes.
    func groups(_ snapshots: [StoredSnapshot]) -> [Group] {
        var groups: [Group] = []
        for stored in snapshots {
            let group = Group(
                host: host ? stored.snapshot.hostname : nil,
                paths: paths ? stored.snapshot.paths.sorted { $0.lexicographicallyPrecedes($1) } : nil,
                tags: tags ? stored.snapshot.tags.sorted { $0.lexicographicallyPrecedes($1) } : nil,
                snapshots: [stored]
            )
            let known = groups.firstIndex { $0.host == group.host && $0.paths == group.paths && $0.tags == group.tags }
            if let known { groups[known].snapshots.append(stored) } else { groups.append(group) }
        }
        return groups
    }

    func key(_ group: Group) -> JSONObject {
        var key = JSONObject()
        if let host = group.host { key.set(text: host, as: "hostname") }
        if let paths = group.paths { key.set(texts: paths, as: "paths") }
        if let tags = group.tags { key.set(texts: tags, as: "tags") }
        return key
    }
}

/// The list that people read.
enum SnapshotTable {
    static func print(_ groups: [SnapshotGrouping.Group]) {
        let console = Console.shared
        var count = 0
        for group in groups {
            count += group.snapshots.count
            if let title = title(group) { console.result("\n" + title) }
            if group.snapshots.isEmpty { continue }
            var rows = [["ID", "Time", "Host", "Tags", "Size", "Paths"]]
            for stored in group.snapshots {
                let snapshot = stored.snapshot
                rows.append([
                    String(stored.id.hex.prefix(8)),
                    TimeText.local(snapshot.time),
                    displayText(snapshot.hostname),
                    snapshot.tags.map { displayText($0) }.joined(separator: ","),
                    ByteSize.text(snapshot.summary.bytes) + (snapshot.isComplete ? "" : " (incomplete)"),
                    snapshot.paths.map { displayText($0) }.joined(separator: " "),
                ])
            }
            for line in Columns.align(rows) { console.result(line) }
        }
        console.result(counted(count, "snapshot"))
    }

    static func title(_ group: SnapshotGrouping.Group) -> String? {
        var parts: [String] = []
        if let host = group.host { parts.append("host " + displayText(host)) }
        if let paths = group.paths { parts.append("paths " + paths.map { displayText($0) }.joined(separator: " ")) }
        if let tags = group.tags { parts.append("tags " + tags.map { displayText($0) }.joined(separator: ",")) }
        return parts.isEmpty ? nil : "snapshots of " + parts.joined(separator: ", ") + ":"
    }
}

enum Columns {
    /// Each column as wide as its widest cell, two blanks between them.
    static func align(_ rows: [[String]]) -> [String] {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in
            rows.map { $0.indices.contains(column) ? TerminalText.width($0[column]) : 0 }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column + 1 < row.count {
                    line += String(repeating: " ", count: widths[column] - TerminalText.width(cell) + 2)
                }
            }
            return line
        }
    }
}
