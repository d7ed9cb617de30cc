import Foundation
import NIOCore

// Lines are looked through, not decoded: with ten thousand of them in a second that would be what is measured. (`memmem` is
// not in Swift's module of the C library.)
extension ByteBufferView {
    func contains(_ text: String) -> Bool { count(of: Array(text.utf8), atMost: 1) > 0 }

    func contains(_ text: [UInt8]) -> Bool { count(of: text, atMost: 1) > 0 }

    func count(of text: [UInt8], atMost: Int = .max) -> Int {
        withUnsafeBytes { bytes in
            guard let first = text.first, var place = bytes.baseAddress else { return 0 }
            let end = place + bytes.count
            var found = 0
            while found < atMost, end - place >= text.count,
                let next = memchr(place, Int32(first), end - place - text.count + 1)
            {
                place = UnsafeRawPointer(next)
                let isFound = memcmp(place, text, text.count) == 0
                found += isFound ? 1 : 0
                place += isFound ? text.count : 1
            }
            return found
        }
    }
}
