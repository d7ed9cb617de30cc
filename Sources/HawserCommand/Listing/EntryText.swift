import Hawser

/// How entries are listed.
enum EntryText {
    /// `drwxr-xr-x`, as `ls -l` shows it.
    static func permissions(_ entry: Entry) -> String {
        let kind =
            switch entry.kind {
            case .file: "-"
            case .directory: "d"
            case .symlink: "l"
            case .fifo: "p"
            case .socket: "s"
            case .characterDevice: "c"
            case .blockDevice: "b"
            }
        var text = kind
        for (shift, special, letter) in [(6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")]
            as [(UInt16, UInt16, String)]
        {
            let bits = entry.mode >> shift
            text += bits & 4 != 0 ? "r" : "-"
            text += bits & 2 != 0 ? "w" : "-"
            let executes = bits & 1 != 0
            if entry.mode & special != 0 {
                text += executes ? letter : letter.uppercased()
            } else {
                text += executes ? "x" : "-"
            }
        }
        return text
    }

    static func line(_ entry: Entry, long: Bool) -> String {
        let path = displayText(entry.path.absoluteBytes)
        guard long else { return path }
        func right(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.utf8.count)) + text
        }
        var line = permissions(entry) + right(String(entry.userID), 6) + right(String(entry.groupID), 6)
        line += right(String(entry.size), 14) + " " + TimeText.local(entry.modified) + " " + path
        if let target = entry.linkTarget { line += " -> " + displayText(target) }
        return line
    }

    /// restic's names of the kinds.
    static func kind(_ entry: Entry) -> String {
        switch entry.kind {
        case .file: "file"
        case .directory: "dir"
        case .symlink: "symlink"
        case .fifo: "fifo"
        case .socket: "socket"
        case .characterDevice: "chardev"
        case .blockDevice: "dev"
        }
    }

    /// With restic's fields; `mode` has the bits of Go's `FileMode`, as there.
    static func json(_ entry: Entry) -> JSONObject {
        var object = JSONObject()
        object.set(text: entry.path.isRoot ? [UInt8(ascii: "/")] : Array(entry.path.name), as: "name")
        object["type"] = .string(kind(entry))
        object.set(text: entry.path.absoluteBytes, as: "path")
        object["uid"] = .integer(entry.userID)
        object["gid"] = .integer(entry.groupID)
        if !entry.userName.isEmpty { object.set(text: entry.userName, as: "user") }
        if !entry.groupName.isEmpty { object.set(text: entry.groupName, as: "group") }
        if entry.kind == .file { object["size"] = .integer(entry.size) }
        object["mode"] = .integer(goMode(entry))
        object["permissions"] = .string(permissions(entry))
        object["mtime"] = entry.modified.text.map { .string($0) }
        object["ctime"] = entry.changed.text.map { .string($0) }
        object["inode"] = .integer(entry.inode)
        if let target = entry.linkTarget { object.set(text: target, as: "linktarget") }
        return object
    }

    /// Go's `io/fs.FileMode`: permissions below, kinds and special bits from the top.
    private static func goMode(_ entry: Entry) -> UInt32 {
        var mode = UInt32(entry.mode & 0o777)
        switch entry.kind {
        case .file: break
        case .directory: mode |= 1 << 31
        case .symlink: mode |= 1 << 27
        case .blockDevice: mode |= 1 << 26
        case .fifo: mode |= 1 << 25
        case .socket: mode |= 1 << 24
        case .characterDevice: mode |= 1 << 26 | 1 << 21
        }
        if entry.mode & 0o4000 != 0 { mode |= 1 << 23 }
        if entry.mode & 0o2000 != 0 { mode |= 1 << 22 }
        if entry.mode & 0o1000 != 0 { mode |= 1 << 20 }
        return mode
    }
}

/// Goes through entries and past what of them can't be read.
struct EntryWalk {
    private var iterator: TreeEntries.AsyncIterator
    private(set) var problems = 0
    private let isApart: Bool

    /// - Parameter isApart: see `ProblemText.report`.
    init(_ entries: TreeEntries, problemsApart isApart: Bool = false) {
        iterator = entries.makeAsyncIterator()
        self.isApart = isApart
    }

    /// `nil` at the end. Says what can't be read.
    mutating func next() async throws -> Entry? {
        while true {
            try Task.checkCancellation()
            try Console.shared.checkOutput()
            do {
                return try await iterator.next()
            } catch let error as HawserError where error.code == .damaged || error.code == .notFound {
                problems += 1
                ProblemText.report(error, during: "listing", isApart: isApart)
            }
        }
    }
}

enum ProblemText {
    /// - Parameter isApart: the command prints one JSON value, from which problems must keep away.
    static func report(_ error: HawserError, item: [UInt8]? = nil, during: String, isApart: Bool = false) {
        let console = Console.shared
        guard console.isJSON else {
            return console.warning("error: " + (item.map { displayText($0) + ": " } ?? "") + text(error, item))
        }
        let object = json(error, item: item, during: during)
        if isApart { console.jsonProblem(object) } else { console.json(object) }
    }

    /// Without a place that is `item` again.
    private static func text(_ error: HawserError, _ item: [UInt8]?) -> String {
        Failure.text(error, besides: error.place?.rawBytes == item ? error.place : nil)
    }

    static func json(_ error: HawserError, item: [UInt8]? = nil, during: String) -> JSONObject {
        var object = JSONObject(type: "error")
        var details = JSONObject()
        details["message"] = .string(text(error, item ?? error.place?.rawBytes))
        object["error"] = .object(details)
        object["code"] = .string(error.code.description)
        object["during"] = .string(during)
        if let item = item ?? error.place?.rawBytes { object.set(text: item, as: "item") }
        return object
    }
}
