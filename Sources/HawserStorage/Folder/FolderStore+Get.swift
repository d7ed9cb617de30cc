import HawserFormat

extension FolderStore {
    // Between the pieces it is asked whether anybody still waits.
    private static let readSize = 4 << 20

    func headNow(_ key: ObjectKey) throws -> ObjectInfo? {
        let location = FileLocation(key)
        do {
            guard let status = try openFolder(location.folder).status(of: location.name) else { return nil }
            guard status.isRegular else { throw notAFile(key) }
            return ObjectInfo(key: key, length: status.length, stored: status.modified)
        } catch let error as SystemError where error.isNotFound {
            return nil
        }
    }

    func getNow(_ key: ObjectKey, _ range: Range<Int>?, _ abandonment: Abandonment) throws -> [UInt8] {
        let file = try openObject(key)
        let status = try file.status()
        guard status.isRegular else { throw notAFile(key) }
        guard status.length <= maximumObjectLength else {
            throw HawserError(.damaged, "The file is longer than any object may be.", place: absolute(key.path))
        }
        let range = range ?? 0..<status.length
        try range.checkBounds(length: status.length, place: absolute(key.path))
        return try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            while count < range.count {
                try abandonment.check()
                let piece = UnsafeMutableRawBufferPointer(buffer)[count..<min(count + Self.readSize, range.count)]
                let read = try file.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: piece),
                    at: range.lowerBound + count
                )
                guard read > 0 else {
                    throw HawserError(
                        .damaged,
                        "The file became shorter while it was read.",
                        place: absolute(key.path)
                    )
                }
                count += read
            }
        }
    }

    private func openObject(_ key: ObjectKey) throws -> Descriptor {
        let location = FileLocation(key)
        do {
            return try openFolder(location.folder).reader(location.name)
        } catch {
            guard error.isNotFound else { throw error }
            throw HawserError(.notFound, "There is no such object.", place: absolute(key.path))
        }
    }

    private func notAFile(_ key: ObjectKey) -> HawserError {
        HawserError(
            .damaged,
            "What lies in the place of an object is not a regular file. Move it away.",
            place: absolute(key.path)
        )
    }
}

extension Range<Int> {
    /// Throws `invalidArgument` unless this is a range that can be asked of an object. Only a whole object is empty.
    package func checkBounds(length: Int, place: String) throws {
        guard lowerBound >= 0, upperBound <= length, !isEmpty || length == 0 else {
            throw HawserError(
                .invalidArgument,
                "The object has \(length) bytes; \(lowerBound)..<\(upperBound) is not a range of them.",
                place: place
            )
        }
    }
}
