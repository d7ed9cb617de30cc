import Glibc
import HawserFormat
import HawserMovers
import Testing

/// A directory for one test, removed at its end.
final class SourceTree: Sendable {
    let root: String

    init() {
        var template = Array("/tmp/hawser-sources-XXXXXX".utf8CString)
        root = template.withUnsafeMutableBufferPointer {
            $0.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? ""
        }
        precondition(!root.isEmpty, "no temporary directory")
    }

    deinit {
        _ = try? Self.shell("rm -rf \(root) 2>/dev/null || (chmod -R u+rwx \(root); rm -rf \(root))")
    }

    /// Runs commands in the directory and returns what they print.
    @discardableResult
    func shell(_ commands: String) throws -> [UInt8] {
        try Self.shell("set -e; cd \(root); \(commands)")
    }

    static func shell(_ commands: String) throws -> [UInt8] {
        let stream = try #require(popen(commands, "re"))
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            output += buffer[..<count]
        }
        try #require(pclose(stream) == 0, "failed: \(commands)")
        return output
    }

    func write(_ name: String, _ content: String) throws {
        let file = try #require(fopen("\(root)/\(name)", "we"))
        defer { fclose(file) }
        fputs(content, file)
    }

    func path(_ name: String) -> EntryPath {
        EntryPath(Array((name.isEmpty ? root : "\(root)/\(name)").utf8)) ?? .root
    }
}

/// Everything that a walk gave.
struct Walked {
    var entries: [Entry] = []
    var problems: [(path: EntryPath, error: HawserError)] = []

    var paths: [String] { entries.map { String(decoding: $0.path.absoluteBytes, as: UTF8.self) } }

    subscript(path: EntryPath) -> Entry? { entries.first { $0.path == path } }

    /// Names of what is below the tree's root.
    func names(in tree: SourceTree) -> [String] {
        paths.filter { $0.hasPrefix(tree.root + "/") }.map { String($0.dropFirst(tree.root.utf8.count + 1)) }
    }
}

extension BackupSource {
    func walked() async throws -> Walked {
        var walked = Walked()
        try await walk { item in
            switch item {
            case .entry(let entry): walked.entries.append(entry)
            case .problem(let path, let error): walked.problems.append((path, error))
            }
        }
        return walked
    }

    func content(of entry: Entry, block: Int = 7) async throws -> [UInt8] {
        let file = try await open(entry)
        defer { file.close() }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: block)
        while true {
            let count = try await read(file, into: &buffer, at: UInt64(content.count))
            content += buffer[..<count]
            if count < block { return content }
        }
    }

    func read(_ file: any SourceFile, into buffer: inout [UInt8], at offset: UInt64) async throws -> Int {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count, alignment: 16)
        defer { memory.deallocate() }
        let count = try await file.read(into: memory, at: offset)
        buffer.replaceSubrange(0..<count, with: memory[..<count])
        return count
    }
}

/// Calls that Swift's Glibc module doesn't show.
enum TestCalls {
    private static func function<Function>(_ name: String, as _: Function.Type) -> Function? {
        dlsym(nil, name).map { unsafeBitCast($0, to: Function.self) }
    }

    /// The user as whom this thread uses files.
    static func setFileSystemUser(_ user: UInt32) {
        _ = function("setfsuid", as: (@convention(c) (UInt32) -> Int32).self)?(user)
    }

    static func setAttribute(_ path: String, _ name: String, _ value: [UInt8]) -> Bool {
        typealias SetAttribute =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, Int32
            ) -> Int32
        return function("setxattr", as: SetAttribute.self)?(path, name, value, value.count, 0) == 0
    }
}

func isAscending(_ entries: [Entry]) -> Bool {
    zip(entries, entries.dropFirst()).allSatisfy { $0.path < $1.path }
}
