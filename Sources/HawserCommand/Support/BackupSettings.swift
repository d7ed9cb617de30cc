public import ArgumentParser
public import Hawser

/// How a backup is done, and what the snapshot says of itself.
struct BackupSettings: ParsableArguments {
    @Option(help: ArgumentHelp("Tags of the snapshot; can be given several times.", valueName: "tag,tag"))
    var tag: [String] = []

    @Option(help: ArgumentHelp("The host that the snapshot names. (default: this machine)", valueName: "host"))
    var host: String?

    @Option(help: ArgumentHelp("The snapshot's time, such as '2026-01-31 23:59:59'. (default: now)", valueName: "time"))
    var time: TimeArgument?

    @Option(
        help: ArgumentHelp(
            "Compare with this snapshot. (default: the last of the same host and paths)",
            valueName: "snapshot"
        )
    )
    var parent: String?

    @Flag(name: .shortAndLong, help: "Read all files, changed or not.")
    var force = false

    @Flag(help: "A changed inode number alone does not make a file changed.")
    var ignoreInode = false

    @Flag(help: "A changed ctime alone does not make a file changed.")
    var ignoreCtime = false

    @Flag(help: "Make no snapshot that equals its parent.")
    var skipIfUnchanged = false

    @Option(help: ArgumentHelp("auto, off, lz4 or zstd[:1...19].", valueName: "method"))
    var compression: CompressionMethod = .auto

    @Flag(name: [.customShort("n"), .long], help: "Store nothing, say what would be.")
    var dryRun = false

    @Flag(help: "Do not open and compare each chunk after sealing.")
    var noExtraVerify = false

    func validate() throws {
        guard tag.allSatisfy({ !TagList.parse($0).isEmpty }) else { throw ValidationError("A tag is empty.") }
    }

    func options(_ repository: Repository) async throws -> BackupOptions {
        var options = BackupOptions()
        if let host { options.hostname = host.rawBytes }
        options.tags = tag.flatMap(TagList.parse).map { String(decoding: $0, as: UTF8.self) }
        options.time = time?.time
        if let parent { options.parent = .snapshot(try await repository.snapshot(named: parent).id) }
        options.force = force
        options.ignoresInode = ignoreInode
        options.ignoresChangeTime = ignoreCtime
        options.skipsIfUnchanged = skipIfUnchanged
        options.compression = compression
        options.verifies = !noExtraVerify
        options.dryRun = dryRun
        return options
    }
}

struct TimeArgument: ExpressibleByArgument {
    var time: Timestamp

    init?(argument: String) {
        guard let time = TimeText.parse(argument) else { return nil }
        self.time = time
    }
}

extension CompressionMethod: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
    public static var allValueStrings: [String] { ["auto", "off", "lz4", "zstd"] }
}
