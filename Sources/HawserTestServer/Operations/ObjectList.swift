/// What a list asks for, whichever version it is of.
struct ObjectListQuery {
    var prefix = ObjectPath("")
    /// Empty for none.
    var delimiter: [UInt8] = []
    /// Keys up to this one are left out.
    var after: ObjectPath?
    /// 0...1000.
    var limit = 1000
}

struct ObjectList {
    enum Item {
        case object(ObjectPath, ObjectAttributes)
        /// All keys that begin with this, up to a delimiter.
        case group(ObjectPath)

        var path: ObjectPath {
            switch self {
            case .object(let key, _): key
            case .group(let prefix): prefix
            }
        }
    }

    var items: [Item] = []
    var isTruncated = false

    init(_ bucket: borrowing BucketTable.Bucket, _ query: ObjectListQuery, _ effects: FaultEffects) {
        let count = effects.hiddenNewest
        let hidden = count == 0 ? [] : Set(bucket.newest.filter { bucket.objects[$0] != nil }.suffix(count))
        // A group that was given is over, whatever follows of it.
        let lastGroup = query.after.flatMap { Self.group(of: $0, query) }
        var index = bucket.position(of: max(query.after ?? query.prefix, query.prefix))
        var seen = 0
        while index < bucket.keys.count, bucket.keys[index].hasPrefix(query.prefix) {
            let key = bucket.keys[index]
            index += 1
            guard !hidden.contains(key), let object = bucket.objects[key] else { continue }
            if key == query.after, !effects.repeatsKeys { continue }
            seen += 1
            if let every = effects.skippedEvery, seen.isMultiple(of: every) { continue }
            let group = Self.group(of: key, query)
            if let group, group == lastGroup || group == items.last?.path { continue }
            guard items.count < query.limit else {
                isTruncated = query.limit > 0
                return
            }
            let item = group.map { Item.group($0) } ?? .object(key, object.attributes)
            items.append(item)
            if effects.repeatsKeys, items.count < query.limit { items.append(item) }
        }
    }

    private static func group(of key: ObjectPath, _ query: ObjectListQuery) -> ObjectPath? {
        guard !query.delimiter.isEmpty, key.hasPrefix(query.prefix) else { return nil }
        let rest = key.bytes.dropFirst(query.prefix.bytes.count)
        guard let end = rest.firstRange(of: query.delimiter)?.upperBound else { return nil }
        return ObjectPath(Array(key.bytes[..<end]))
    }
}
