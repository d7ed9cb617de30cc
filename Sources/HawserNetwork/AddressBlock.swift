public import NIOCore

/// A range of addresses as `192.0.2.0/24` or `2001:db8::/32`; an address alone is a block of one.
public struct AddressBlock: Hashable, Sendable, CustomStringConvertible {
    private let base: IPAddress
    private let prefix: Int
    public let description: String

    /// `nil` when it is not a block, when the length is out of range, and when bits behind the length are set: `10.0.0.1/8`
    /// is more often a mistake than meant.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        let bits: Int
        switch address {
        case .v4: bits = 32
        case .v6: bits = 128
        }
        guard let prefix = parts.count == 1 ? bits : AddressBlock.number(parts[1]), prefix <= bits else { return nil }
        guard AddressBlock.masked(address, prefix) == address else { return nil }
        base = address
        self.prefix = prefix
        description = text
    }

    public func contains(_ address: IPAddress) -> Bool {
        switch (base, address) {
        case (.v4, .v4), (.v6, .v6): AddressBlock.masked(address, prefix) == base
        default: false
        }
    }

    /// Digits only: `Int` would take a sign as well.
    private static func number(_ text: Substring) -> Int? {
        guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func masked(_ address: IPAddress, _ prefix: Int) -> IPAddress {
        switch address {
        case .v4(let number):
            .v4(number & ~(UInt32.max >> prefix))
        case .v6(let high, let low):
            // Shifts beyond the width give 0, so both halves come out right for every length.
            .v6(high: high & ~(UInt64.max >> prefix), low: low & ~(UInt64.max >> max(0, prefix - 64)))
        }
    }
}

extension [AddressBlock] {
    /// Whether one of them has the address. Never for a Unix domain socket.
    public func contains(_ address: SocketAddress) -> Bool {
        guard let address = IPAddress(address) else { return false }
        return contains { $0.contains(address) }
    }
}
