/// A key, compared by its bytes. (Strings compare by characters, for which a composed and a decomposed é are one.)
struct ObjectPath: Hashable, Comparable, Sendable {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    init(_ text: String) {
        bytes = Array(text.utf8)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    static func < (left: ObjectPath, right: ObjectPath) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    func hasPrefix(_ prefix: ObjectPath) -> Bool {
        bytes.starts(with: prefix.bytes)
    }

    /// Has an empty component, `.` or `..`.
    var isUnclean: Bool {
        bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).contains { part in
            part.isEmpty || part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8)
        }
    }
}
