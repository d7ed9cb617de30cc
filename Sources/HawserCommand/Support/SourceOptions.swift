import ArgumentParser
import Glibc
import Hawser

/// What is backed up, and what of it is not.
struct SourceOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Leave out what matches; can be given several times.", valueName: "pattern")
    )
    var exclude: [String] = []

    @Option(help: ArgumentHelp("The same, whatever the case of the letters.", valueName: "pattern"))
    var iexclude: [String] = []

    @Option(help: ArgumentHelp("Read patterns from a file, one a line.", valueName: "file"), completion: .file())
    var excludeFile: [String] = []

    @Flag(help: "Leave out what is in folders with a CACHEDIR.TAG.")
    var excludeCaches = false

    @Option(
        help: ArgumentHelp(
            "Leave out what is in folders with such a file, which begins with the header if one is given.",
            valueName: "name[:header]"
        )
    )
    var excludeIfPresent: [String] = []

    @Option(help: ArgumentHelp("Leave out files that are larger, such as 500M.", valueName: "size"))
    var excludeLargerThan: SizeOption?

    @Option(
        help: ArgumentHelp(
            "Read paths, which may have wildcards, from a file, one a line; - is standard input.",
            valueName: "file"
        ),
        completion: .file()
    )
    var filesFrom: [String] = []

    @Option(
        help: ArgumentHelp("Read paths from a file, each ended by a NUL; - is standard input.", valueName: "file"),
        completion: .file()
    )
    var filesFromRaw: [String] = []

    @Flag(name: [.customShort("x"), .long], help: "Stay on the file systems of the given paths.")
    var oneFileSystem = false

    @Flag(help: "Back up standard input.")
    var stdin = false

    @Option(help: ArgumentHelp("The name of the stream in the snapshot. (default: stdin)", valueName: "name"))
    var stdinFilename: String?

    @Flag(help: "Back up what a command prints; it follows after --. No snapshot is made when it fails.")
    var stdinFromCommand = false

    @Flag(help: "Back up a block device or disk image in fixed chunks.")
    var image = false

    func validate(paths: [String]) throws {
        guard [stdin, stdinFromCommand, image].filter({ $0 }).count <= 1 else {
            throw ValidationError("--stdin, --stdin-from-command and --image contradict each other.")
        }
        if stdin, !paths.isEmpty { throw ValidationError("With --stdin no paths are given.") }
        if image, paths.count != 1 { throw ValidationError("--image takes one path.") }
        if stdinFromCommand, paths.isEmpty { throw ValidationError("Give the command after --.") }
        if !stdin, paths.isEmpty, filesFrom.isEmpty, filesFromRaw.isEmpty {
            throw ValidationError("Nothing to back up: give a path.")
        }
        if stdinFilename != nil, !stdin, !stdinFromCommand {
            throw ValidationError("--stdin-filename goes with --stdin or --stdin-from-command.")
        }
    }

    /// - Returns: the source, and the patterns that the snapshot records.
    func source(paths: [String]) throws -> (source: any BackupSource, excludes: [String]) {
        do {
            return try asUsage { try makeSource(paths: paths) }
        } catch var error as HawserError where error.code == .accessDenied {
            // The code of its own is for the repository.
            error.code = .fileSystem
            throw error
        }
    }

    private func makeSource(paths: [String]) throws -> (source: any BackupSource, excludes: [String]) {
        if stdin { return (StreamSource(descriptor: STDIN_FILENO, path: try streamPath()), []) }
        if stdinFromCommand {
            return (try StreamSource(command: paths.map(\.rawBytes), path: streamPath()), [])
        }
        if image, let path = paths.first { return (try ImageSource(path: path.rawBytes), []) }
        let rules = try rules()
        let all = try paths.map(\.rawBytes) + listedPaths()
        let options = FileTreeSource.Options(excludes: rules.rules, staysOnFileSystem: oneFileSystem)
        return (try FileTreeSource(paths: all, options: options), rules.recorded)
    }

    private func streamPath() throws -> EntryPath {
        guard let stdinFilename else { return StreamSource.defaultPath }
        guard let path = EntryPath(stdinFilename.rawBytes), !path.isRoot else {
            throw ValidationError("«\(displayText(stdinFilename.rawBytes))» can't be the name of the stream.")
        }
        return path
    }

    private func rules() throws -> (rules: ExcludeRules, recorded: [String]) {
        var rules = ExcludeRules()
        var recorded: [String] = []
        for text in exclude {
            rules.patterns.append(try PathPattern(text.rawBytes))
            recorded.append(String(decoding: text.rawBytes, as: UTF8.self))
        }
        for text in iexclude {
            rules.patterns.append(try PathPattern(text.rawBytes, ignoringCase: true))
            recorded.append(String(decoding: text.rawBytes, as: UTF8.self))
        }
        for file in excludeFile {
            let bytes = try SmallFile.read(file, what: "file of patterns")
            try rules.patterns.append(lines: bytes)
            recorded += TextLines.significant(bytes).map { String(decoding: $0, as: UTF8.self) }
        }
        if excludeCaches { rules.markers.append(.cacheDirectory) }
        for marker in excludeIfPresent { rules.markers.append(try ExcludeRules.Marker(marker.rawBytes)) }
        rules.largestFile = excludeLargerThan.map { UInt64($0.bytes) }
        return (rules, recorded)
    }

    private func listedPaths() throws -> [[UInt8]] {
        var paths: [[UInt8]] = []
        for file in filesFrom {
            for line in TextLines.significant(try SmallFile.read(file, what: "list of files")) {
                paths += Wildcards.expand(Array(line))
            }
        }
        for file in filesFromRaw {
            paths += try SmallFile.read(file, what: "list of files").split(separator: 0).map(Array.init)
        }
        return paths
    }
}

enum TextLines {
    /// Without blanks around them, empty ones, and those that begin with `#`.
    static func significant(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        let isBlank = { (byte: UInt8) in byte == 0x20 || (0x09...0x0d).contains(byte) }
        return bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let first = line.firstIndex(where: { !isBlank($0) }),
                let last = line.lastIndex(where: { !isBlank($0) }),
                line[first] != UInt8(ascii: "#")
            else { return nil }
            return line[first...last]
        }
    }
}

enum Wildcards {
    /// The paths that match, in order; the pattern itself when none does, so that it is said to be missing.
    static func expand(_ pattern: [UInt8]) -> [[UInt8]] {
        var found = glob_t()
        defer { globfree(&found) }
        let result = pattern.withNullTerminated { glob($0, GLOB_NOCHECK, nil, &found) }
        guard result == 0, let paths = found.gl_pathv else { return [pattern] }
        return (0..<Int(found.gl_pathc)).compactMap { index in
            paths[index].map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
        }
    }
}
