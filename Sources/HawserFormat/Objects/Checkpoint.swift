/// A point from which an interrupted backup goes on: the beginning of its walk, all of it durable.
///
/// Not a snapshot: never listed as one, never `latest`, never retained. Never written again, so unknown fields are
/// dropped.
public struct Checkpoint: Sendable, Hashable {
    /// The tree of all entries up to `lastPath`.
    public struct Prefix: Sendable, Hashable {
        public var tree: ChunkID
        public var treeHeight: Int
        /// The last entry that is complete.
        public var lastPath: EntryPath

        public init(tree: ChunkID, treeHeight: Int, lastPath: EntryPath) {
            self.tree = tree
            self.treeHeight = treeHeight
            self.lastPath = lastPath
        }
    }

    /// A file that was being read.
    public struct FileInWork: Sendable, Hashable {
        /// The file's status before the first read, with its whole size; its content is what lies before `offset`.
        public var entry: Entry
        /// Where reading goes on, bytes: a cut of the chunker, which begins anew there if the status is still the same.
        public var offset: UInt64

        public init(entry: Entry, offset: UInt64) {
            self.entry = entry
            self.offset = offset
        }
    }

    /// When the backup began and when the checkpoint was made.
    public var started: Timestamp
    public var time: Timestamp
    /// With `paths` and `excludes`: what the next run must be of to go on from here.
    public var hostname: [UInt8]
    public var username: [UInt8]
    public var paths: [[UInt8]]
    public var excludes: [[UInt8]] = []
    /// What the interrupted backup compared with; the next run does so behind the prefix.
    public var parent: ObjectName?
    public var session: String?
    public var fence: UInt64?
    public var programVersion: String
    /// `nil` if no entry was complete.
    public var prefix: Prefix?
    public var fileInWork: FileInWork?

    public init(
        started: Timestamp,
        time: Timestamp,
        hostname: [UInt8],
        username: [UInt8],
        paths: [[UInt8]],
        programVersion: String
    ) {
        self.started = started
        self.time = time
        self.hostname = hostname
        self.username = username
        self.paths = paths
        self.programVersion = programVersion
    }

    /// - Returns: The object, and its SHA-256: what it is called.
    public func encode(_ sealer: ObjectSealer) throws -> (object: [UInt8], name: ObjectName) {
        let object = try sealer.seal(json().bytes, kind: .checkpoint)
        return (object, ObjectName(hashOf: object))
    }

    /// - Throws: `damaged` unless it is a checkpoint of this repository.
    public init(decoding object: [UInt8], sealer: ObjectSealer) throws {
        try self.init(json: JSONValue(parsing: sealer.open(object, kind: .checkpoint)))
    }

    func json() throws -> JSONValue {
        var json = JSONObject()
        try json.set(time: started, as: "backup_start")
        try json.set(time: time, as: "time")
        json.set(text: hostname, as: "hostname")
        json.set(text: username, as: "username")
        json.set(texts: paths, as: "paths")
        json.set(texts: excludes, as: "excludes")
        json["parent"] = parent.map { .string($0.hex) }
        json["session"] = session.map { .string($0) }
        json["fence"] = fence.map { .integer($0) }
        json["program_version"] = .string(programVersion)
        if let prefix {
            json["tree"] = .string(prefix.tree.hex)
            json["tree_height"] = try .treeHeight(prefix.treeHeight)
            json.set(text: prefix.lastPath.absoluteBytes, as: "last_path")
        }
        if let fileInWork {
            json["file_page"] = JSONObject.raw(try fileInWork.page())
            json["file_size"] = .integer(fileInWork.entry.size)
        }
        return .object(json)
    }

    init(json: JSONValue) throws {
        var fields = try JSONFields(json, of: "checkpoint")
        started = try fields.take("backup_start", \.time)
        time = try fields.take("time", \.time)
        hostname = try fields.takeText("hostname")
        username = try fields.takeText("username")
        paths = try fields.takeTexts("paths")
        excludes = try fields.takeTexts("excludes")
        parent = try fields.takeOptional("parent") { $0.identifier() }
        session = try fields.takeOptional("session", \.string)
        fence = try fields.takeOptional("fence") { $0.integer() }
        programVersion = try fields.take("program_version", \.string)
        if let tree: ChunkID = try fields.takeOptional("tree", { $0.identifier() }) {
            let height = try fields.take("tree_height", JSONValue.treeHeight)
            guard let lastPath = EntryPath(try fields.takeText("last_path")) else {
                throw HawserError(.damaged, "The last path of a checkpoint is no path.")
            }
            prefix = Prefix(tree: tree, treeHeight: height, lastPath: lastPath)
        }
        if let page = try fields.takeOptional("file_page", JSONFields.raw) {
            fileInWork = try FileInWork(page: page, size: fields.take("file_size") { $0.integer() })
        }
    }
}

extension Checkpoint.FileInWork {
    /// A tree page of level 0 with this entry alone, whose size is that of its content so far, as in every page.
    fileprivate func page() throws -> [UInt8] {
        guard entry.kind == .file else { throw HawserError(.invalidArgument, "Only a file can be in work.") }
        var partial = entry
        partial.size = offset
        var writer = LeafPageWriter()
        try writer.append(partial)
        return writer.finish()
    }

    fileprivate init(page: [UInt8], size: UInt64) throws {
        guard case .entries(let entries) = try TreePage(decoding: page, level: 0).items, entries.count == 1,
            entries[0].kind == .file, size <= Entry.sizeLimit
        else { throw HawserError(.damaged, "A checkpoint's file in work is not one file.") }
        entry = entries[0]
        offset = entry.size
        entry.size = size
    }
}
