/// Names of features that a repository uses, by what a program that does not know them may still do.
public struct FeatureFlags: Hashable, Sendable {
    /// Unknown: the repository can't be used.
    public var read: Set<String>
    /// Unknown: the repository can be read only.
    public var write: Set<String>
    /// Unknown: nothing changes.
    public var info: Set<String>

    public init(read: Set<String> = [], write: Set<String> = [], info: Set<String> = []) {
        self.read = read
        self.write = write
        self.info = info
    }

    /// What this version of Hawser knows.
    public static let known = FeatureFlags(write: [objectLock])

    /// What is stored has to be locked (``ObjectLock``).
    static let objectLock = "object-lock"

    /// A flag fits into a message and a log line.
    public static let nameLimit = 64

    /// Whether `name` has 1 to 64 characters of `a-z`, `0-9`, `-`, `_`, `.`.
    public static func isValidName(_ name: String) -> Bool {
        (1...nameLimit).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// - Throws: `unsupported` if a flag of `read` is not in `known`.
    func checkReadable(known: FeatureFlags) throws {
        let unknown = read.subtracting(known.read).sorted()
        guard unknown.isEmpty else {
            throw HawserError(
                .unsupported,
                "The repository uses \(unknown.joined(separator: ", ")): a newer Hawser is needed."
            )
        }
    }

    // MARK: Coding

    /// Counted names, ascending.
    static func encode(_ flags: Set<String>) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for flag in flags.sorted() {
            guard isValidName(flag) else { throw HawserError(.invalidArgument, "\(flag) can't be a feature's name.") }
            bytes.append(counted: flag.utf8)
        }
        return bytes
    }

    static func decode(_ bytes: [UInt8]) throws -> Set<String> {
        var reader = ByteReader(bytes)
        var names: [String] = []
        while !reader.isAtEnd {
            let name = String(decoding: try reader.readBytes(limit: nameLimit), as: UTF8.self)
            guard isValidName(name), names.last.map({ $0 < name }) ?? true else {
                throw HawserError(.damaged, "The list of features is not what it must be.")
            }
            names.append(name)
        }
        return Set(names)
    }
}
