import Glibc
import HawserFormat

/// The paths that a file tree source was given, and the directories that lead to them.
struct SourceRoots: Sendable {
    /// Absolute and normalised, in the order given, without repetitions.
    let paths: [EntryPath]
    /// Where one of them lies below another. That matters only where the walk wouldn't come to it by itself.
    let hasNested: Bool
    /// The number of components of the longest directory that leads to a path.
    let spineDepth: Int
    private let set: Set<EntryPath>
    /// The directories on the way from the virtual root, each with the names that lead on, ascending.
    private let spine: [EntryPath: [[UInt8]]]

    init(_ given: [[UInt8]], currentDirectory: [UInt8]) throws {
        var paths: [EntryPath] = []
        var set: Set<EntryPath> = []
        var spine: [EntryPath: Set<[UInt8]>] = [:]
        for path in given {
            let normalised = try Self.normalise(path, currentDirectory: currentDirectory)
            guard set.insert(normalised).inserted else { continue }
            paths.append(normalised)
            var child = normalised
            while let parent = child.parent {
                if spine[parent, default: []].insert(Array(child.name)).inserted { child = parent } else { break }
            }
        }
        guard !paths.isEmpty else { throw HawserError(.invalidArgument, "There is no path to back up.") }
        self.paths = paths
        self.set = set
        self.spine = spine.mapValues { $0.sorted { $0.lexicographicallyPrecedes($1) } }
        spineDepth = spine.keys.map(\.components.count).max() ?? 0
        hasNested = set.contains { path in
            var ancestor = path.parent
            while let next = ancestor {
                if set.contains(next) { return true }
                ancestor = next.parent
            }
            return false
        }
    }

    func contains(_ path: EntryPath) -> Bool { set.contains(path) }

    /// The names in `directory` that lead to a path below it.
    func names(leadingOnFrom directory: EntryPath) -> [[UInt8]]? { spine[directory] }

    /// Without `.`, `..` and needless slashes; by the text alone, as symbolic links on the way are kept in the path.
    static func normalise(_ path: [UInt8], currentDirectory: [UInt8]) throws -> EntryPath {
        guard !path.isEmpty, !path.contains(0) else {
            throw HawserError(.invalidArgument, "A path to back up is empty or holds a NUL.")
        }
        let slash = UInt8(ascii: "/")
        let absolute = path.first == slash ? path : currentDirectory + [slash] + path
        var components: [ArraySlice<UInt8>] = []
        for component in absolute.split(separator: slash) {
            if component.elementsEqual(".".utf8) { continue }
            if component.elementsEqual("..".utf8) { _ = components.popLast() } else { components.append(component) }
        }
        guard let normalised = EntryPath(Array(components.joined(separator: [slash]))) else {
            throw HawserError(.invalidArgument, "A path to back up is not valid.")
        }
        return normalised
    }

    static func currentDirectory() throws -> [UInt8] {
        // `nil` makes glibc allocate as much as it needs.
        guard let path = getcwd(nil, 0) else {
            throw HawserError(.fileSystem, "The current directory can't be found.", cause: CallFailure(code: errno))
        }
        defer { free(path) }
        return Array(UnsafeRawBufferPointer(start: path, count: strlen(path)))
    }
}
