import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder with a source tree, a repository and a cache, and the `hawser` command to work on them.
struct Workbench: Sendable {
    let directory: TemporaryDirectory
    var source: String { directory.path + "/source" }
    let repository: String
    var cache: String { directory.path + "/cache" }
    /// In the environment of the command, beside what this process has.
    private let variables: [String: String]

    /// - Parameter repository: `nil` for a folder beside the source.
    init(repository: String? = nil, variables: [String: String] = [:]) throws {
        directory = try TemporaryDirectory()
        self.repository = repository ?? directory.path + "/repository"
        self.variables = variables
        try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
    }

    /// With a repository that `hawser init` has made.
    static func withRepository() async throws -> Workbench {
        let bench = try Workbench()
        try await bench.hawser("init").expect(0)
        return bench
    }

    var environment: [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("HAWSER_") }
        environment["HAWSER_REPOSITORY"] = repository
        environment["HAWSER_PASSWORD"] = "correct horse battery staple"
        environment["HAWSER_CACHE_DIR"] = cache
        return environment.merging(variables) { $1 }
    }

    /// Puts a file into the source that nothing makes smaller.
    func write(_ name: String, bytes count: Int) throws {
        var generator = SeededGenerator(seed: name.utf8.reduce(TestScale.seed) { $0 &* 31 &+ UInt64($1) })
        try Data(generator.bytes(count)).write(to: URL(filePath: source + "/" + name))
    }

    func start(
        _ arguments: [String],
        changing changes: [String: String] = [:],
        input: Data? = nil
    ) throws -> RunningCommand {
        try RunningCommand(
            HawserBinary.path(),
            arguments,
            environment: environment.merging(changes) { $1 },
            input: input
        )
    }

    func hawser(
        _ arguments: String...,
        changing changes: [String: String] = [:],
        input: Data? = nil
    ) async throws -> CommandResult {
        try await start(arguments, changing: changes, input: input).result()
    }

    /// Backs up the source; returns the snapshot's id and the summary.
    @discardableResult
    func backup(_ options: String...) async throws -> (snapshot: String, summary: [String: Any]) {
        let result = try await start(["backup", source, "--json"] + options).result()
        result.expect(0)
        let summary = try #require(result.message("summary"), "\(result)")
        return (try #require(summary["snapshot_id"] as? String), summary)
    }

    /// Where the source lies below the target after a restore into a new folder called `name`.
    func restored(_ name: String) -> String { directory.path + "/" + name + source }

    func restore(_ snapshot: String, to name: String, options: [String] = []) async throws -> CommandResult {
        try await start(["restore", snapshot, "--target", directory.path + "/" + name] + options).result()
    }

    func snapshots() async throws -> [[String: Any]] {
        let result = try await hawser("snapshots", "--json")
        result.expect(0)
        return result.objects.filter { $0["id"] != nil }
    }

    /// Paths below the repository folder whose keys begin with `prefix`, in order.
    func objects(_ prefix: String) throws -> [String] {
        let names = FileManager.default.enumerator(atPath: repository)?.compactMap { $0 as? String } ?? []
        return names.filter { name in
            var isDirectory: ObjCBool = false
            return name.hasPrefix(prefix)
                && FileManager.default.fileExists(atPath: repository + "/" + name, isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }.sorted()
    }

    func length(_ object: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: repository + "/" + object)
        return (attributes[.size] as? Int) ?? 0
    }
}

extension CommandResult {
    /// Records an issue that shows the whole command unless it ended with this code.
    func expect(_ code: Int32, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(status == code, "\(self)", sourceLocation: sourceLocation)
    }
}

/// The commands that this build made.
enum HawserBinary {
    struct NotFound: Error, CustomStringConvertible {
        let name: String
        var description: String { "The command \(name) is not beside the tests; build it, or set HAWSER_BINARY." }
    }

    /// `HAWSER_BINARY` for `hawser`, else the first of this name in the folders above the running test program: the build folder holds
    /// both, on macOS with the levels of a bundle in between.
    static func path(_ name: String = "hawser") throws -> String {
        if name == "hawser", let path = ProcessInfo.processInfo.environment["HAWSER_BINARY"] { return path }
        let starts = [CommandLine.arguments[0]] + Bundle.allBundles.map(\.bundlePath)
        for start in starts {
            var folder = URL(filePath: start).resolvingSymlinksInPath()
            while folder.path != "/" {
                folder.deleteLastPathComponent()
                let candidate = folder.appending(path: name).path
                var status = stat()
                // A file: case-insensitive file systems also have a folder of this name above.
                if stat(candidate, &status) == 0, status.st_mode & S_IFMT == S_IFREG, access(candidate, X_OK) == 0 {
                    return candidate
                }
            }
        }
        throw NotFound(name: name)
    }
}
