/// The absolute path of an entry below the virtual root, as bytes; the root itself is empty.
///
/// Order: the parents compare component by component, then the names. So the entries of one directory are
/// contiguous, and so is everything below it.
public struct EntryPath: Hashable, Sendable {
    /// Components joined by `/`, none at either end.
    public let bytes: [UInt8]

    public static let root = EntryPath(unchecked: [])

    init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// `nil` if a component is empty, `.`, `..` or holds a NUL. One leading `/` is allowed and dropped.
    public init?(_ bytes: some Collection<UInt8>) {
        let relative = Array(bytes.first == Self.slash ? bytes.dropFirst() : bytes[...])
        guard Self.isValidPath(relative[...]) else { return nil }
        self.init(unchecked: relative)
    }

    /// Whether `name` can be one component.
    public static func isValidName(_ name: some Collection<UInt8>) -> Bool {
        var length = 0
        var dots = 0
        for byte in name {
            if byte == slash || byte == 0 { return false }
            if byte == UInt8(ascii: ".") { dots += 1 }
            length += 1
        }
        return length > 2 || length > dots
    }

    /// Whether the bytes are valid names joined by `/`, or none.
    static func isValidPath(_ bytes: ArraySlice<UInt8>) -> Bool {
        if bytes.isEmpty { return true }
        var start = bytes.startIndex
        while let end = bytes[start...].firstIndex(of: slash) {
            guard isValidName(bytes[start..<end]) else { return false }
            start = end + 1
        }
        return isValidName(bytes[start...])
    }

    public var isRoot: Bool { bytes.isEmpty }

    public var name: ArraySlice<UInt8> {
        bytes.lastIndex(of: Self.slash).map { bytes[($0 + 1)...] } ?? bytes[...]
    }

    /// `nil` for the root.
    public var parent: EntryPath? {
        if isRoot { return nil }
        return EntryPath(unchecked: bytes.lastIndex(of: Self.slash).map { Array(bytes[..<$0]) } ?? [])
    }

    public var components: [ArraySlice<UInt8>] { bytes.split(separator: Self.slash) }

    /// - Precondition: `name` is a valid name.
    public func appending(_ name: some Collection<UInt8>) -> EntryPath {
        EntryPath(unchecked: Self.join(bytes[...], name))
    }

    static func join(_ parent: ArraySlice<UInt8>, _ name: some Collection<UInt8>) -> [UInt8] {
        var joined: [UInt8] = []
        joined.reserveCapacity(parent.count + 1 + name.count)
        joined += parent
        if !parent.isEmpty { joined.append(slash) }
        joined += name
        return joined
    }

    /// This path as seen from a directory above it; `nil` if it does not lie there.
    public func relative(to directory: EntryPath) -> EntryPath? {
        guard directory.contains(self) else { return nil }
        if directory.isRoot { return self }
        return EntryPath(unchecked: Array(bytes.dropFirst(directory.bytes.count + 1)))
    }

    /// Whether `other` is this path or lies below it.
    public func contains(_ other: EntryPath) -> Bool {
        isRoot || other.bytes == bytes
            || (other.bytes.count > bytes.count && other.bytes[bytes.count] == Self.slash
                && other.bytes.starts(with: bytes))
    }

    static let slash = UInt8(ascii: "/")
}

extension EntryPath: Comparable {
    public static func < (left: EntryPath, right: EntryPath) -> Bool {
        left.bytes.withUnsafeBufferPointer { left in
            right.bytes.withUnsafeBufferPointer { right in
                precedes(left, right)
            }
        }
    }

    private static func precedes(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        let leftParent = left.lastIndex(of: slash) ?? 0
        let rightParent = right.lastIndex(of: slash) ?? 0
        // `/` sorts before every other byte, so that whole components are compared.
        for index in 0..<min(leftParent, rightParent) where left[index] != right[index] {
            if left[index] == slash { return true }
            if right[index] == slash { return false }
            return left[index] < right[index]
        }
        if leftParent != rightParent { return leftParent < rightParent }
        // The same parent, except that the root stands before its own entries.
        if left.isEmpty || right.isEmpty { return left.isEmpty && !right.isEmpty }
        return left[leftParent...].lexicographicallyPrecedes(right[rightParent...])
    }
}

extension EntryPath: CustomStringConvertible {
    /// With a leading `/`; bytes that are not UTF-8 are replaced. Not safe for a terminal: see `displayText`.
    public var description: String { "/" + String(decoding: bytes, as: UTF8.self) }

    /// The absolute path as bytes, for system calls (without a terminating NUL).
    public var absoluteBytes: [UInt8] { [Self.slash] + bytes }
}
