import Glibc
import HawserFormat

/// A regular file of a file tree.
///
/// The kernel's read-ahead does well for files read from the beginning to the end. It is not told to drop the pages afterwards: they
/// may have been in memory because another program works with them, and pages read once leave first anyway.
final class TreeFile: DescriptorFile {
    let mayHaveHoles: Bool
    let path: EntryPath
    private let source: FileTreeSource
    var file: Int32

    init(_ file: Int32, path: EntryPath, mayHaveHoles: Bool, source: FileTreeSource) {
        self.file = file
        self.path = path
        self.mayHaveHoles = mayHaveHoles
        self.source = source
    }

    deinit {
        close()
    }

    func status() async throws -> Entry {
        try call { () throws(CallFailure) in
            try source.completeEntry(of: file, FileCalls.status(of: file), at: path)
        }
    }

    func isUnchanged(since entry: Entry) async throws -> Bool {
        try call { () throws(CallFailure) in try FileCalls.status(of: file) }.isUnchanged(since: entry)
    }
}
