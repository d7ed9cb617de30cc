import HawserFormat
import HawserStorage
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Objects as files of one folder. A file has the bytes, then the key and what is known of the object as JSON, then the
/// length of that in eight bytes: so it is written and renamed as one.
struct ObjectFolder: Sendable {
    struct Footer: Codable {
        var key: [UInt8]
        var attributes: ObjectAttributes
    }

    private static let temporaryPrefix = ".new-"
    private static let trailerLength = 8

    let path: String

    /// Makes the folder of each bucket, and gives what is there.
    static func open(_ path: String, buckets: [String]) async throws -> [(bucket: String, [(ObjectPath, StoredObject)])]
    {
        try await BlockingExecutor.shared.run {
            for bucket in buckets {
                try FileManager.default.createDirectory(atPath: path + "/" + bucket, withIntermediateDirectories: true)
            }
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { bucket in
                (bucket, try ObjectFolder(path: path + "/" + bucket).load())
            }
        }
    }

    /// Readable for ordinary keys; of very long ones, a part and a hash.
    func place(of key: ObjectPath) -> String {
        let name = PercentCoding.encode(key.bytes)
        // `.` and `..` would be folders, and what begins with a dot is temporary.
        let visible = name.hasPrefix(".") ? "%2E" + name.dropFirst() : name
        // File systems allow 255 bytes.
        guard visible.utf8.count > 200 else { return path + "/" + visible }
        return path + "/" + visible.prefix(130) + "+" + ObjectName(hashOf: key.bytes).hex
    }

    func newTemporaryPath() -> String {
        path + "/" + Self.temporaryPrefix + Accounts.randomText(16)
    }

    static func footer(_ key: ObjectPath, _ attributes: ObjectAttributes) throws -> ByteBuffer {
        let json = try JSONEncoder().encode(Footer(key: key.bytes, attributes: attributes))
        var buffer = ByteBuffer(bytes: json)
        buffer.writeInteger(UInt64(json.count))
        return buffer
    }

    private func load() throws -> [(ObjectPath, StoredObject)] {
        var objects: [(ObjectPath, StoredObject)] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            let file = path + "/" + name
            if name.hasPrefix(Self.temporaryPrefix) {
                // Of a server that was killed.
                try FileManager.default.removeItem(atPath: file)
            } else if let footer = try Self.readFooter(file) {
                objects.append(
                    (ObjectPath(footer.key), StoredObject(content: .file(path: file), attributes: footer.attributes))
                )
            }
        }
        return objects.sorted { $0.1.attributes.modified < $1.1.attributes.modified }
    }

    /// `nil` for a file that is none of the server's.
    private static func readFooter(_ path: String) throws -> Footer? {
        let file = try OpenFile(reading: path)
        let length = try file.length()
        guard length >= trailerLength else { return nil }
        var trailer = try file.read(length - trailerLength..<length)
        guard let size = trailer.readInteger(as: UInt64.self).flatMap(Int.init(exactly:)),
            size <= length - trailerLength
        else { return nil }
        let json = try file.read(length - trailerLength - size..<length - trailerLength)
        guard let footer = try? JSONDecoder().decode(Footer.self, from: Data(json.readableBytesView)),
            footer.attributes.length == length - trailerLength - size
        else { return nil }
        return footer
    }
}
