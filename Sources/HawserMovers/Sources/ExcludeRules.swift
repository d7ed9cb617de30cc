import Glibc
import HawserFormat

/// What of a file tree is not backed up.
public struct ExcludeRules: Hashable, Sendable {
    /// A file whose presence says that the directory around it is not worth a backup.
    public struct Marker: Hashable, Sendable {
        /// Its name, without wildcards.
        public var name: [UInt8]
        /// What it has to begin with; empty: its presence is enough.
        public var header: [UInt8]

        public init(name: [UInt8], header: [UInt8] = []) {
            self.name = name
            self.header = header
        }

        /// `NAME` or `NAME:HEADER`, as for `--exclude-if-present`.
        public init(_ text: some Collection<UInt8>) throws {
            let colon = text.firstIndex(of: UInt8(ascii: ":"))
            name = Array(colon.map { text[..<$0] } ?? text[...])
            header = colon.map { Array(text[text.index(after: $0)...]) } ?? []
            guard EntryPath.isValidName(name) else {
                throw HawserError(.invalidArgument, "The name of a marker file is empty or holds a slash.")
            }
        }

        /// The Cache Directory Tagging Specification (https://bford.info/cachedir/).
        public static let cacheDirectory = Marker(
            name: Array("CACHEDIR.TAG".utf8),
            header: Array("Signature: 8a477f597d28d172789f06886806bc55".utf8)
        )
    }

    /// What matches is left out, with everything below it. Applies to the given paths too.
    public var patterns: PathPatternList
    /// Of a directory with such a file only the directory itself and this file are kept.
    public var markers: [Marker]
    /// Regular files with more bytes are left out.
    public var largestFile: UInt64?

    public init(patterns: PathPatternList = PathPatternList(), markers: [Marker] = [], largestFile: UInt64? = nil) {
        self.patterns = patterns
        self.markers = markers
        self.largestFile = largestFile
    }

    /// The names that alone are kept of this directory; `nil`: all of them.
    func keptNames(of listing: DirectoryListing, in directory: DirectoryHandle) -> [[UInt8]]? {
        var kept: [[UInt8]]?
        for marker in markers where listing.index(of: marker.name) != nil && Self.holds(marker, in: directory) {
            kept = (kept ?? [marker.name]).filter { $0 == marker.name }
        }
        return kept
    }

    private static func holds(_ marker: Marker, in directory: DirectoryHandle) -> Bool {
        if marker.header.isEmpty { return true }
        // A marker that can't be read marks nothing: rather too much in the backup than too little.
        return withNullTerminated(marker.name) { name in
            guard let status = try? FileCalls.status(name, in: directory.descriptor), status.kind == .file,
                let file = try? FileCalls.open(name, in: directory.descriptor)
            else { return false }
            defer { close(file) }
            return withUnsafeTemporaryAllocation(byteCount: marker.header.count, alignment: 1) { buffer in
                (try? FileCalls.read(file, into: buffer, at: 0)) == marker.header.count
                    && buffer.elementsEqual(marker.header)
            }
        }
    }
}
