import CHawser
import HawserFormat
import HawserStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Secrets, each hidden by a pad of random bytes as long as it is. Pads, and secrets while they are open, lie in one page
/// that is not swapped, dumped or inherited; what lies elsewhere says nothing without it.
///
/// For one task at a time.
final class SecretPage {
    /// A secret under its pad.
    struct Sealed: Sendable {
        fileprivate var serial: Int
        fileprivate var hidden: [UInt8]
    }

    /// Bytes; S3's secrets have 40, some servers take more.
    static let longestSecret = 512
    // The newest, and those before it that requests still hold.
    private static let pads = 4

    private let page: UnsafeMutableRawPointer
    private let size: Int
    /// Whether the page can't be swapped; otherwise RLIMIT_MEMLOCK is used up.
    let isLocked: Bool
    private var serials = [Int](repeating: 0, count: pads)
    private var lastSerial = 0

    /// - Throws: `unavailable` when there is no memory.
    init() throws {
        var size = 0
        var locked: CInt = 0
        guard let page = hawser_secret_page(&size, &locked), size >= (Self.pads + 1) * Self.longestSecret else {
            throw HawserError(.unavailable, "There is no memory for credentials: \(String(cString: strerror(errno))).")
        }
        self.page = page
        self.size = size
        isLocked = locked != 0
    }

    deinit {
        hawser_free_secret_page(page, size)
    }

    private func pad(_ serial: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: page + (serial % Self.pads) * Self.longestSecret,
            count: Self.longestSecret
        )
    }

    private var open: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: page + Self.pads * Self.longestSecret, count: Self.longestSecret)
    }

    /// Takes a secret in; the oldest goes. The caller wipes what it has.
    ///
    /// - Throws: `unsupported` when it is too long.
    func seal(_ secret: some Collection<UInt8>) throws -> Sealed {
        guard secret.count <= Self.longestSecret else {
            throw HawserError(.unsupported, "The storage's secret is longer than \(Self.longestSecret) bytes.")
        }
        lastSerial += 1
        serials[lastSerial % Self.pads] = lastSerial
        let pad = pad(lastSerial)
        var generator = SystemRandomNumberGenerator()
        for index in pad.indices { pad[index] = UInt8.random(in: 0...255, using: &generator) }
        return Sealed(serial: lastSerial, hidden: zip(secret, pad).map { $0 ^ $1 })
    }

    /// Calls `body` with the secret in clear, which is wiped when it returns.
    ///
    /// - Returns: `nil` when its pad is gone: there are several newer secrets.
    func withOpened<Result>(_ sealed: Sealed, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result? {
        guard serials[sealed.serial % Self.pads] == sealed.serial else { return nil }
        let pad = pad(sealed.serial)
        let open = open
        defer { hawser_wipe(open.baseAddress, open.count) }
        for (index, byte) in sealed.hidden.enumerated() { open[index] = byte ^ pad[index] }
        return try body(UnsafeRawBufferPointer(rebasing: open[..<sealed.hidden.count]))
    }
}
