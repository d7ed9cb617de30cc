import ArgumentParser
import Hawser

/// Which snapshots are meant.
struct SnapshotFilterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Only snapshots of this host; can be given several times.", valueName: "host"))
    var host: [String] = []

    @Option(
        help: ArgumentHelp(
            "Only snapshots with all of these tags; can be given several times for alternatives.",
            valueName: "tag,tag"
        )
    )
    var tag: [String] = []

    @Option(
        help: ArgumentHelp("Only snapshots of this absolute path; all that are given must be there.", valueName: "path")
    )
    var path: [String] = []

    func filter() throws -> SnapshotFilter {
        var filter = SnapshotFilter()
        filter.hosts = host.map(\.rawBytes)
        filter.tags = tag.map(TagList.parse)
        filter.paths = try path.map { text in
            guard let path = EntryPath(text.rawBytes.trimmingSlashes) else {
                throw ValidationError("«\(displayText(text.rawBytes))» is not a valid path.")
            }
            return path.absoluteBytes
        }
        return filter
    }
}

enum TagList {
    /// Separated by commas, without blanks around them.
    static func parse(_ text: String) -> [[UInt8]] {
        text.rawBytes.split(separator: UInt8(ascii: ",")).map { tag in
            var tag = tag
            while tag.first == UInt8(ascii: " ") { tag.removeFirst() }
            while tag.last == UInt8(ascii: " ") { tag.removeLast() }
            return Array(tag)
        }.filter { !$0.isEmpty }
    }
}

extension [UInt8] {
    /// Without slashes at the end: `/home/` is `/home`.
    var trimmingSlashes: [UInt8] {
        var bytes = self
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        return bytes
    }
}

/// `SNAPSHOT` or `SNAPSHOT:PATH`.
struct SnapshotReference: ExpressibleByArgument, Hashable {
    var name: String
    /// Behind a colon; `nil` when there is none.
    var path: EntryPath?
    /// `nil`: the whole snapshot.
    var part: EntryPath? { path.flatMap { $0.isRoot ? nil : $0 } }

    init?(argument: String) {
        // Ids and `latest` hold no colon; paths can.
        guard let colon = argument.firstIndex(of: ":") else {
            name = argument
            return
        }
        name = String(argument[..<colon])
        let bytes = String(argument[argument.index(after: colon)...]).rawBytes.trimmingSlashes
        guard let path = bytes == [UInt8(ascii: "/")] ? .root : EntryPath(bytes) else { return nil }
        self.path = path
    }
}
