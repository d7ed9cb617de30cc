#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// Base64 without padding, in the alphabet that needs no escape anywhere (RFC 4648, 5).
package enum Base64URL {
    package static func text(_ bytes: Data) -> String {
        bytes.base64EncodedString()
            .replacing("+", with: "-")
            .replacing("/", with: "_")
            .replacing("=", with: "")
    }

    /// `nil` for anything that `text` does not make.
    package static func bytes(_ text: some StringProtocol) -> Data? {
        guard text.utf8.allSatisfy({ isDigit($0) }) else { return nil }
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        let standard = String(text).replacing("-", with: "+").replacing("_", with: "/") + padding
        // What is left over of the last digit must be zero, or two texts would have the same bytes.
        guard let bytes = Data(base64Encoded: standard), Self.text(bytes) == text else { return nil }
        return bytes
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
