import CHawser
import Glibc
import HawserFormat

/// A list of records that is kept in memory up to a limit and beyond it in a file without a name in the target.
struct RestoreSpool: ~Copyable {
    /// Enough for the directories of most trees, little beside the smallest memory setting (96 MiB).
    private static let memoryLimit = 2 << 20

    private let directory: Int32
    private var file: Int32 = -1
    private var fileLength = 0
    private var memory: [UInt8] = []

    /// - Parameter directory: where the file is made; stays open as long as the spool is used.
    init(directory: Int32) {
        self.directory = directory
    }

    deinit {
        if file >= 0 { close(file) }
    }

    /// Where the next record will begin.
    var end: Int { fileLength + memory.count }

    /// Gives the position for `record(at:)`.
    @discardableResult
    mutating func append(_ record: [UInt8]) throws -> Int {
        let position = end
        guard let length = UInt32(exactly: record.count) else {
            throw HawserError(.invalidArgument, "The metadata of one entry is larger than 4 GiB.")
        }
        // The length stands on both sides, so that the list can be read in both directions.
        memory.append(integer: length)
        memory += record
        memory.append(integer: length)
        if memory.count > Self.memoryLimit { try spill() }
        return position
    }

    func record(at position: Int) throws -> [UInt8] {
        let length = try Int(integer(at: position))
        return try read(position + 4, length)
    }

    /// The record at `position`, which is moved to the next one; `nil` at the end.
    func next(_ position: inout Int) throws -> [UInt8]? {
        guard position < end else { return nil }
        let record = try record(at: position)
        position += record.count + 8
        return record
    }

    /// The record before `position`, which is moved to its beginning; `nil` at the first one.
    func previous(_ position: inout Int) throws -> [UInt8]? {
        guard position >= 8 else { return nil }
        let length = try Int(integer(at: position - 4))
        guard position >= length + 8 else { throw Self.damaged }
        let record = try read(position - 4 - length, length)
        position -= length + 8
        return record
    }

    private func integer(at position: Int) throws -> UInt32 {
        var reader = try ByteReader(read(position, 4))
        return try reader.read()
    }

    private func read(_ position: Int, _ count: Int) throws -> [UInt8] {
        guard count >= 0, position >= 0, position + count <= end else { throw Self.damaged }
        if position >= fileLength {
            return Array(memory[(position - fileLength)..<(position - fileLength + count)])
        }
        var bytes = [UInt8](repeating: 0, count: count)
        let done = bytes.withUnsafeMutableBytes { buffer in
            retrying { pread(file, buffer.baseAddress, count, off_t(position)) }
        }
        guard done == count else { throw Self.damaged }
        return bytes
    }

    private mutating func spill() throws {
        if file < 0 { file = try Self.makeFile(in: directory) }
        var written = 0
        while written < memory.count {
            let count = memory.withUnsafeBytes { bytes in
                retrying {
                    pwrite(
                        file,
                        bytes.baseAddress.unsafelyUnwrapped + written,
                        bytes.count - written,
                        off_t(fileLength + written)
                    )
                }
            }
            guard count > 0 else { throw HawserError.restore("write the restore's journal", .root, errno: errno) }
            written += count
        }
        fileLength += memory.count
        memory.removeAll(keepingCapacity: true)
    }

    private static func makeFile(in directory: Int32) throws -> Int32 {
        let unnamed = hawser_restore_open_unnamed(directory, O_RDWR, 0o600)
        if unnamed >= 0 { return unnamed }
        let name = RestoreTree.temporaryName()
        let file = hawser_restore_open(directory, name, O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard file >= 0 else { throw HawserError.restore("make the restore's journal", .root, errno: errno) }
        unlinkat(directory, name, 0)
        return file
    }

    private static var damaged: HawserError {
        HawserError(.internalError, "The restore's journal can't be read back.")
    }
}
