extension Entry {
    /// Four times Linux's `PATH_MAX`: deeper trees can exist, but no tool can name what lies in them.
    public static let pathLimit = 16_384
    /// Names of users and groups; directory services allow 256 characters.
    public static let ownerNameLimit = 1_024
    /// Names and values of all extended attributes together; larger sets lie in an attribute blob.
    public static let attributeLimit = 4_096
    /// All fields of later versions together, encoded: with the other limits it keeps an entry below 68 KiB.
    static let unknownFieldLimit = 16_384
    /// File offsets are signed 64-bit numbers on every system.
    static let sizeLimit = UInt64(Int64.max)

    /// The first rule for stored entries that this one breaks, or `nil`.
    ///
    /// The same rules hold for writing (a caller's mistake) and for reading (damage).
    func brokenRule() -> String? {
        if path.bytes.count > Self.pathLimit { return "its path is too long" }
        if mode > 0o7777 { return "its mode is out of range" }
        if userName.count > Self.ownerNameLimit || groupName.count > Self.ownerNameLimit {
            return "the name of its owner or group is too long"
        }
        if !modified.isValid || !changed.isValid || created?.isValid == false {
            return "a time's nanoseconds are out of range"
        }
        return brokenKindRule() ?? brokenContentRule() ?? brokenAttributeRule() ?? brokenUnknownFieldRule()
    }

    private func brokenKindRule() -> String? {
        if let linkTarget {
            if kind != .symlink { return "it has a link target and is no symbolic link" }
            if linkTarget.isEmpty || linkTarget.count > Self.pathLimit || linkTarget.contains(0) {
                return "its link target is not valid"
            }
        } else if kind == .symlink {
            return "it is a symbolic link without a target"
        }
        let isDevice = kind == .characterDevice || kind == .blockDevice
        return isDevice == (device != nil) ? nil : "its kind and its device number contradict each other"
    }

    private func brokenContentRule() -> String? {
        if kind != .file { return content == nil && size == 0 ? nil : "it has content and is no file" }
        if size > Self.sizeLimit { return "its size is out of range" }
        switch content {
        case nil:
            return size == 0 ? nil : "its content is missing"
        case .inline(let bytes):
            if bytes.count > Self.inlineLimit { return "its inline content is too long" }
            return bytes.count == size ? nil : "its size is not that of its content"
        case .extents(let extents):
            if extents.count > Self.extentLimit { return "it has too many extents" }
            guard let length = extents.checkedLength() else { return "its extents are not valid" }
            return length == size ? nil : "its size is not that of its extents"
        case .list(_, let height):
            if !(0...ContentList.maximumHeight).contains(height) { return "its content list is too high" }
            return size > 0 ? nil : "its size is not that of its content"
        }
    }

    private func brokenAttributeRule() -> String? {
        if attributes.isEmpty { return nil }
        if attributeBlob != nil { return "it has attributes of its own and an attribute blob" }
        if attributes.reduce(0, { $0 + $1.name.count + $1.value.count }) > Self.attributeLimit {
            return "its attributes are too long"
        }
        return attributes.areCanonical ? nil : "its attributes are not valid or not in order"
    }

    private func brokenUnknownFieldRule() -> String? {
        if unknownFields.isEmpty { return nil }
        var previous = EntryField.last
        var length = 0
        for field in unknownFields {
            if field.tag <= previous { return "its fields are not in order" }
            previous = field.tag
            length += 20 + field.value.count
        }
        return length <= Self.unknownFieldLimit ? nil : "its unknown fields are too long"
    }
}

extension Timestamp {
    var isValid: Bool { nanoseconds < 1_000_000_000 }
}

extension [Extent] {
    /// The sum of the lengths; `nil` if it is above 2^63 - 1, a length is out of range, or two neighbours of zeros
    /// or two of holes are not one.
    func checkedLength() -> UInt64? {
        var sum: Int64 = 0
        var previous: Extent?
        for extent in self {
            guard extent.isValid, previous?.merges(with: extent) != true else { return nil }
            let (next, overflow) = sum.addingReportingOverflow(Int64(extent.length))
            if overflow { return nil }
            sum = next
            previous = extent
        }
        return UInt64(sum)
    }
}

extension Extent {
    /// Plain lengths of blobs are below 2^24: they have three bytes in the index.
    static let dataLimit = 1 << 24

    var isValid: Bool {
        switch self {
        case .data(_, let length): (1..<Self.dataLimit).contains(length)
        case .zero(let length), .hole(let length): length > 0
        }
    }

    /// Whether the two can only be stored as one.
    func merges(with next: Extent) -> Bool {
        switch (self, next) {
        case (.zero, .zero), (.hole, .hole): true
        default: false
        }
    }
}
