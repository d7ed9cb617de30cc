internal import Crypto

/// Key bytes that do not print themselves: neither descriptions nor mirrors nor debuggers' dumps show them.
///
/// The memory is overwritten when the last copy goes; equality takes the same time for all values of one length.
public struct Secret: Sendable, Equatable {
    let key: SymmetricKey

    public init(_ bytes: [UInt8]) {
        key = SymmetricKey(data: bytes)
    }

    /// From memory that its owner will overwrite; no other copy is made.
    public init(copying bytes: UnsafeRawBufferPointer) {
        key = SymmetricKey(data: bytes)
    }

    /// - Parameter count: Bytes, at least 1; all secrets of the format have 32.
    public static func random(count: Int = 32) -> Secret {
        Secret(key: SymmetricKey(size: SymmetricKeySize(bitCount: count * 8)))
    }

    init(key: SymmetricKey) {
        self.key = key
    }

    public var count: Int { key.bitCount / 8 }

    /// The bytes where they lie, for the time of `body`.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try key.withUnsafeBytes(body)
    }

    /// A copy of the bytes, which is not overwritten when it goes: for handing on, not for keeping.
    public var bytes: [UInt8] {
        key.withUnsafeBytes { Array($0) }
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "<secret>" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
