extension Snapshot {
    /// What tree pages allow.
    static let treeHeightLimit = 31

    /// Seals the snapshot.
    ///
    /// - Returns: The object, and its SHA-256: the snapshot's id.
    /// - Throws: `invalidArgument` for times outside the years 0 to 9999 or an impossible height.
    public func encode(_ sealer: ObjectSealer) throws -> (object: [UInt8], id: ObjectName) {
        let object = try sealer.seal(json().bytes, kind: .snapshot)
        return (object, ObjectName(hashOf: object))
    }

    /// - Throws: `damaged` unless it is a snapshot of this repository.
    public init(decoding object: [UInt8], sealer: ObjectSealer) throws {
        try self.init(json: JSONValue(parsing: sealer.open(object, kind: .snapshot)))
    }

    /// What is sealed, and what `--json` prints.
    public func json() throws -> JSONValue {
        var json = unknownFields
        try json.set(time: time, as: "time")
        json.set(text: hostname, as: "hostname")
        json.set(text: username, as: "username")
        json.set(texts: paths, as: "paths")
        json.set(texts: tags, as: "tags")
        json.set(texts: excludes, as: "excludes")
        json["parent"] = parent.map { .string($0.hex) }
        json["original"] = original.map { .string($0.hex) }
        json["tree"] = .string(tree.hex)
        json["tree_height"] = try .treeHeight(treeHeight)
        json["complete"] = .bool(isComplete)
        json["error_count"] = .integer(errorCount)
        json["session"] = session.map { .string($0) }
        json["fence"] = fence.map { .integer($0) }
        json["program_version"] = .string(programVersion)
        json["summary"] = try summary.json()
        return .object(json)
    }

    public init(json: JSONValue) throws {
        var fields = try JSONFields(json, of: "snapshot")
        time = try fields.take("time", \.time)
        hostname = try fields.takeText("hostname")
        username = try fields.takeText("username")
        paths = try fields.takeTexts("paths")
        tags = try fields.takeTexts("tags")
        excludes = try fields.takeTexts("excludes")
        parent = try fields.takeOptional("parent") { $0.identifier() }
        original = try fields.takeOptional("original") { $0.identifier() }
        tree = try fields.take("tree") { $0.identifier() }
        treeHeight = try fields.take("tree_height", JSONValue.treeHeight)
        isComplete = try fields.take("complete", \.bool)
        errorCount = try fields.take("error_count") { $0.integer() }
        session = try fields.takeOptional("session", \.string)
        fence = try fields.takeOptional("fence") { $0.integer() }
        programVersion = try fields.take("program_version", \.string)
        summary = try fields.take("summary", Summary.init(json:))
        unknownFields = fields.rest
    }
}

extension Snapshot.Summary {
    private static var counts: [(name: String, field: WritableKeyPath<Snapshot.Summary, UInt64>)] {
        [
            ("files_new", \.filesNew),
            ("files_changed", \.filesChanged),
            ("files_unmodified", \.filesUnmodified),
            ("dirs_new", \.directoriesNew),
            ("dirs_changed", \.directoriesChanged),
            ("dirs_unmodified", \.directoriesUnmodified),
            ("total_files_processed", \.files),
            ("total_dirs_processed", \.directories),
            ("total_others_processed", \.others),
            ("total_bytes_processed", \.bytes),
            ("data_added", \.bytesAdded),
            ("data_added_packed", \.bytesAddedPacked),
        ]
    }

    func json() throws -> JSONValue {
        var json = unknownFields
        try json.set(time: started, as: "backup_start")
        try json.set(time: ended, as: "backup_end")
        for (name, field) in Self.counts { json[name] = .integer(self[keyPath: field]) }
        return .object(json)
    }

    init(json: JSONValue) throws {
        var fields = try JSONFields(json, of: "snapshot's summary")
        try self.init(started: fields.take("backup_start", \.time), ended: fields.take("backup_end", \.time))
        for (name, field) in Self.counts { self[keyPath: field] = try fields.take(name) { $0.integer() } }
        unknownFields = fields.rest
    }
}

extension JSONValue {
    static func treeHeight(_ height: Int) throws -> JSONValue {
        guard (0...Snapshot.treeHeightLimit).contains(height) else {
            throw HawserError(.invalidArgument, "A tree has at most \(Snapshot.treeHeightLimit) levels of inner pages.")
        }
        return .integer(height)
    }

    static func treeHeight(_ value: JSONValue) -> Int? {
        value.integer(Int.self).flatMap { (0...Snapshot.treeHeightLimit).contains($0) ? $0 : nil }
    }
}
