import CHawser
import Glibc
public import HawserFormat

/// A block device or a disk image file, read as one file and cut into chunks of fixed length.
public final class ImageSource: BackupSource {
    private let tree: FileTreeSource
    private let path: EntryPath

    /// - Throws: `HawserError` with `notFound` when there is nothing at `path`.
    public init(path: [UInt8]) throws {
        tree = try FileTreeSource(paths: [path])
        self.path = tree.roots.paths.first ?? .root
    }

    public var paths: [[UInt8]] { tree.paths }
    public var contentForm: ContentForm { .image }
    public var isAllOrNothing: Bool { true }

    public func walk(_ visit: (SourceItem) async throws -> Void) async throws {
        var ancestor = path.parent
        var ancestors: [EntryPath] = []
        while let next = ancestor {
            ancestors.append(next)
            ancestor = next.parent
        }
        for ancestor in ancestors.reversed() {
            try await visit(.entry(tree.directoryEntry(at: ancestor)))
        }
        let file = try openImage()
        defer { file.close() }
        try await visit(.entry(file.status()))
    }

    public func complete(_ entry: Entry) async throws -> Entry {
        entry.kind == .directory ? try await tree.complete(entry) : entry
    }

    public func open(_ entry: Entry) async throws -> any SourceFile {
        try openImage()
    }

    private func openImage() throws -> ImageFile {
        do throws(CallFailure) {
            return try ImageFile(path, tree: tree)
        } catch {
            throw error.error(at: path)
        }
    }
}

final class ImageFile: DescriptorFile {
    let mayHaveHoles: Bool
    let path: EntryPath
    private let tree: FileTreeSource
    private let isDevice: Bool
    var file: Int32

    /// The path itself may be a symbolic link: disks are mostly named by links.
    init(_ path: EntryPath, tree: FileTreeSource) throws(CallFailure) {
        self.path = path
        self.tree = tree
        let directory = try tree.directory(at: path.parent ?? .root)
        file = try withNullTerminated(path.name) { name throws(CallFailure) in
            try FileCalls.open(name, in: directory.descriptor, HAWSER_OPEN_FOLLOW.rawValue)
        }
        let opened = file
        do throws(CallFailure) {
            let status = try FileCalls.status(of: opened)
            guard let kind = status.kind, kind == .file || kind == .blockDevice else {
                throw CallFailure(code: ENOTBLK)
            }
            isDevice = kind == .blockDevice
            mayHaveHoles = !isDevice && FileCalls.hasHole(opened, before: status.size)
        } catch {
            Glibc.close(opened)
            throw error
        }
    }

    deinit {
        close()
    }

    /// A device too is a regular file here, with the device's size. Its times say nothing about its content, so it always
    /// counts as changed and is read again by every backup.
    func status() async throws -> Entry {
        try call { () throws(CallFailure) in
            let status = try FileCalls.status(of: file)
            guard isDevice else { return try tree.completeEntry(of: file, status, at: path) }
            var entry = status.entry(at: path, kind: .file, accounts: tree.accounts, links: tree.links)
            entry.linkGroup = nil
            var size: UInt64 = 0
            let result = hawser_device_size(file, &size)
            if result != 0 { throw CallFailure(code: -result) }
            entry.size = size
            entry.changedWhileRead = true
            return entry
        }
    }

    func isUnchanged(since entry: Entry) async throws -> Bool {
        let now = try await status()
        return now.size == entry.size && now.modified == entry.modified && now.changed == entry.changed
    }
}
