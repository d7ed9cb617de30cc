import ArgumentParser
import FoundationEssentials
import Glibc
import Hawser

struct CacheCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "List the caches of this machine, or remove old ones.",
        discussion: """
            A cache can be removed at any time; the next command makes it anew.

            Example: hawser cache --cleanup --max-age 30
            """
    )

    @Flag(help: "Remove the caches that were not used for --max-age days.")
    var cleanup = false

    @Option(help: ArgumentHelp("Days.", valueName: "days"))
    var maxAge = 30

    @Option(help: ArgumentHelp("Where the caches are. [HAWSER_CACHE_DIR]", valueName: "dir"), completion: .directory)
    var cacheDir: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (0...100_000).contains(maxAge) else { throw ValidationError("--max-age is a number of days.") }
    }

    func run() async throws {
        output.apply()
        guard let root = cacheDir ?? Environment.value("HAWSER_CACHE_DIR") ?? CachePlace.standard else {
            throw ValidationError("There is no home directory: give --cache-dir.")
        }
        let oldest = Date.now.addingTimeInterval(-Double(maxAge) * 86_400)
        let caches = LocalCache.all(in: root)
        if cleanup {
            let old = caches.filter { $0.used < oldest }
            for cache in old { try FileManager.default.removeItem(atPath: root + "/" + cache.id) }
            var object = JSONObject(type: "summary")
            object["caches_removed"] = .integer(old.count)
            object["bytes_removed"] = .integer(old.reduce(0) { $0 + $1.size })
            Console.shared.json(object)
            Console.shared.result(
                "removed \(counted(old.count, "cache")), \(ByteSize.text(old.reduce(0) { $0 + $1.size }))"
            )
            return
        }
        Console.shared.json(
            array: caches.map { cache in
                var object = JSONObject()
                object["id"] = .string(cache.id)
                object["last_used"] = cache.lastUsed.text.map { .string($0) }
                object["size"] = .integer(cache.size)
                return .object(object)
            }
        )
        let rows = caches.map { [String($0.id.prefix(8)), TimeText.local($0.lastUsed), ByteSize.text($0.size)] }
        for line in Columns.align([["Repository", "Last used", "Size"]] + rows) { Console.shared.result(line) }
        Console.shared.result("\(counted(caches.count, "cache")) in \(displayText(root.rawBytes))")
    }
}

/// What a machine keeps of one repository.
struct LocalCache {
    var id: String
    /// When anything in it was changed last.
    var used: Date
    /// Bytes.
    var size: Int

    var lastUsed: Timestamp { Timestamp(seconds: Int64(used.timeIntervalSince1970)) }

    /// In the order of their ids. Other things in the directory are not ours.
    static func all(in root: String) -> [LocalCache] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.sorted().filter { ObjectName(hex: $0) != nil }.map { measure(root + "/" + $0, id: $0) }
    }

    private static func measure(_ directory: String, id: String) -> LocalCache {
        var cache = LocalCache(id: id, used: .distantPast, size: 0)
        for path in [""] + ((try? FileManager.default.subpathsOfDirectory(atPath: directory)) ?? []) {
            var status = stat()
            guard lstat(directory + "/" + path, &status) == 0 else { continue }
            cache.used = max(cache.used, Date(timeIntervalSince1970: Double(status.st_mtim.tv_sec)))
            if status.st_mode & S_IFMT == S_IFREG { cache.size += Int(status.st_size) }
        }
        return cache
    }
}
