import HawserFormat

/// What a bucket has besides its objects: old versions, markers of deleted ones, and uploads that were not ended.
extension BucketTable {
    struct Version {
        let id: String
        /// `nil`: a delete marker.
        var object: StoredObject?
        let modified: Timestamp
    }

    struct Upload {
        let id: String
        let key: ObjectPath
        let parts: [Int]
        let begun: Timestamp
    }
}

extension BucketTable.Bucket {
    mutating func add(_ object: StoredObject?, at key: ObjectPath, now: Timestamp) {
        nextVersion += 1
        let version = BucketTable.Version(id: "v\(nextVersion)", object: object, modified: now)
        versions[key, default: []].append(version)
    }

    /// Of the object and of its version.
    mutating func retain(_ key: ObjectPath, _ retention: Retention?) {
        objects[key]?.attributes.retention = retention
        if let last = versions[key]?.indices.last { versions[key]?[last].object?.attributes.retention = retention }
    }

    /// Removes one for good; what was before it is the object then.
    ///
    /// - Returns: its content.
    mutating func delete(version id: String, of key: ObjectPath) -> StoredObject? {
        guard let index = versions[key]?.firstIndex(where: { $0.id == id }),
            let removed = versions[key]?.remove(at: index)
        else { return nil }
        delete(key)
        if let current = versions[key]?.last?.object { insert(key, current) }
        if versions[key]?.isEmpty == true { versions[key] = nil }
        return removed.object
    }
}
