import HawserFormat
import HawserStorage
import NIOCore

/// Takes the bytes of an object, and makes it visible in one step.
protocol ObjectReceiver: AnyObject {
    func append(_ part: ByteBuffer) async throws
    func store(
        _ key: ObjectPath,
        _ attributes: ObjectAttributes,
        _ condition: BucketTable.Condition,
        now: Timestamp
    ) async throws
    /// Nothing is left.
    func discard() async
}

extension BucketTable {
    /// - Parameter capacity: bytes that will be needed.
    func makeReceiver(
        _ bucket: String,
        _ storage: S3TestServer.Configuration.Storage,
        capacity: Int
    ) async throws -> any ObjectReceiver {
        switch storage {
        case .memory: MemoryReceiver(self, bucket, capacity: capacity)
        case .folder(let path): try await FileReceiver(self, bucket, ObjectFolder(path: path + "/" + bucket))
        }
    }
}

final class MemoryReceiver: ObjectReceiver {
    private let table: BucketTable
    private let bucket: String
    private var bytes: ByteBuffer

    init(_ table: BucketTable, _ bucket: String, capacity: Int) {
        self.table = table
        self.bucket = bucket
        bytes = ByteBufferAllocator().buffer(capacity: capacity)
    }

    func append(_ part: ByteBuffer) {
        bytes.writeImmutableBuffer(part)
    }

    func store(
        _ key: ObjectPath,
        _ attributes: ObjectAttributes,
        _ condition: BucketTable.Condition,
        now: Timestamp
    ) throws {
        let object = StoredObject(content: .memory(bytes), attributes: attributes)
        try table.put(bucket, key, object, condition, now: now) {}
    }

    func discard() {}
}

final class FileReceiver: ObjectReceiver {
    // Long enough that the hop to another thread does not matter.
    private static let writeSize = 1 << 20

    private let table: BucketTable
    private let bucket: String
    private let folder: ObjectFolder
    private let path: String
    private let file: OpenFile
    /// What has not been written yet.
    private var pending = ByteBuffer()
    private var isStored = false

    init(_ table: BucketTable, _ bucket: String, _ folder: ObjectFolder) async throws {
        self.table = table
        self.bucket = bucket
        self.folder = folder
        let path = folder.newTemporaryPath()
        self.path = path
        file = try await BlockingExecutor.shared.run { try OpenFile(creating: path) }
    }

    func append(_ part: ByteBuffer) async throws {
        pending.writeImmutableBuffer(part)
        if pending.readableBytes >= Self.writeSize { try await write() }
    }

    private func write() async throws {
        let file = file
        let bytes = pending
        try await BlockingExecutor.shared.run { try file.append(bytes) }
        pending.clear()
    }

    func store(
        _ key: ObjectPath,
        _ attributes: ObjectAttributes,
        _ condition: BucketTable.Condition,
        now: Timestamp
    ) async throws {
        pending.writeImmutableBuffer(try ObjectFolder.footer(key, attributes))
        try await write()
        let (table, bucket, path, place) = (table, bucket, path, folder.place(of: key))
        let object = StoredObject(content: .file(path: place), attributes: attributes)
        try await BlockingExecutor.shared.run {
            try table.put(bucket, key, object, condition, now: now) { () throws(ServiceError) in
                do throws(OpenFile.Failure) {
                    try OpenFile.move(path, to: place)
                } catch {
                    throw ServiceError(error)
                }
            }
        }
        isStored = true
    }

    func discard() async {
        guard !isStored else { return }
        let path = path
        // Its failure harms nobody: the next start removes it.
        try? await BlockingExecutor.shared.run { try OpenFile.remove(path) }
    }
}
