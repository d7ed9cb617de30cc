import HawserFormat
import Synchronization

/// A file in work, in `tmp/`.
struct TemporaryFile: ~Copyable {
    let name: String
    let descriptor: Descriptor
}

extension FolderStore {
    static let temporaryFolder = "tmp"
    static let lockName = "lock"

    // Between the pieces it is asked whether anybody still waits: half a second of a very slow drive.
    private static let writeSize = 4 << 20
    // Long enough to make the call's cost vanish, short enough for a core's cache.
    private static let compareSize = 256 << 10

    func putNow(_ key: ObjectKey, _ bytes: [UInt8], _ abandonment: Abandonment) throws -> PutResult {
        let location = FileLocation(key)
        let folder = try openOrMakeFolder(location.folder)
        if try isStored(key, bytes, as: location.name, in: folder, abandonment) { return .existed }

        let temporary = try openOrMakeFolder(Self.temporaryFolder)
        tidy(abandonment)
        let file = try newTemporaryFile(in: temporary)
        var isRenamed = false
        defer {
            // Its failure harms nobody: the name is unique, and old ones are swept.
            if !isRenamed { try? temporary.removeFile(file.name) }
        }
        try write(bytes, to: file.descriptor, abandonment)
        try file.descriptor.synchronize()
        try abandonment.check()

        for _ in 0..<Self.raceLimit {
            // The folder may have been removed meanwhile, when a deletion left it empty.
            let folder = try openOrMakeFolder(location.folder)
            let outcome = try place(file, in: temporary, as: location.name, in: folder)
            switch outcome {
            case .linked, .renamed:
                isRenamed = outcome == .renamed
                try folder.synchronizeFolder()
                return .created
            case .existed:
                if try isStored(key, bytes, as: location.name, in: folder, abandonment) { return .existed }
            case .folderGone:
                break
            }
        }
        throw HawserError(
            .unavailable,
            "Another program keeps removing what is stored here.",
            place: absolute(key.path),
            isRetryable: true
        )
    }

    private func newTemporaryFile(in folder: borrowing Descriptor) throws(SystemError) -> TemporaryFile {
        while true {
            let name = Self.temporaryName()
            do {
                return TemporaryFile(name: name, descriptor: try folder.newFile(name))
            } catch {
                guard error.exists else { throw error }
            }
        }
    }

    /// Once for each store: whoever writes has the right and the reason, and the folder is nearly always empty.
    private func tidy(_ abandonment: Abandonment) {
        let isFirst = state.withLock { state in
            defer { state.isTidied = true }
            return !state.isTidied
        }
        // What can't be removed costs room, and nothing else.
        if isFirst { _ = try? removeStaleNow(Self.staleAge, abandonment) }
    }

    static func temporaryName() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }.hex
    }

    private func write(_ bytes: [UInt8], to file: borrowing Descriptor, _ abandonment: Abandonment) throws {
        var written = 0
        if bytes.count >= DirectWriter.leastLength {
            written = try directWriter.withLock { try $0.write(bytes, to: file, abandonment) }
        }
        while written < bytes.count {
            try abandonment.check()
            let piece = written..<min(written + Self.writeSize, bytes.count)
            written += try bytes.withUnsafeBytes { try file.write(UnsafeRawBufferPointer(rebasing: $0[piece])) }
        }
    }

    /// Whether the object is there; it is durable when this returns. Throws when something else is there.
    private func isStored(
        _ key: ObjectKey,
        _ bytes: [UInt8],
        as name: String,
        in folder: borrowing Descriptor,
        _ abandonment: Abandonment
    ) throws -> Bool {
        let file: Descriptor
        do {
            file = try folder.reader(name)
        } catch {
            if error.isNotFound { return false }
            throw error
        }
        let status = try file.status()
        guard status.isRegular, status.length == bytes.count, try holds(bytes, file, abandonment) else {
            throw key.name == nil
                ? HawserError(.conflict, "Another object of this name exists.", place: absolute(key.path))
                : HawserError(
                    .damaged,
                    "The file that is there does not hold the bytes that its name stands for. "
                        + "Move it away, check the drive, and run `hawser check`.",
                    place: absolute(key.path)
                )
        }
        // Its writer may have been killed before the syncs, or it was copied here.
        try file.synchronize()
        try folder.synchronizeFolder()
        return true
    }

    private func holds(_ bytes: [UInt8], _ file: borrowing Descriptor, _ abandonment: Abandonment) throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: min(bytes.count, Self.compareSize))
        var offset = 0
        while offset < bytes.count {
            try abandonment.check()
            let count = try buffer.withUnsafeMutableBytes { buffer in
                try file.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(bytes.count - offset)),
                    at: offset
                )
            }
            let isEqual = buffer.withUnsafeBytes { buffer in
                bytes.withUnsafeBytes { bytes in
                    bytes.isEqual(to: UnsafeRawBufferPointer(rebasing: buffer.prefix(count)), at: offset)
                }
            }
            guard count > 0, isEqual else { return false }
            offset += count
        }
        return true
    }
}
