import HawserNetwork
import NIOCore

/// Where a server listens: an address or a name, and a port; `10.0.0.5:6181`, `[2001:db8::5]:6181`, `sp.internal:6181`.
public struct BackendAddress: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    /// 1 to 65,535.
    public let port: Int

    /// `nil` when it is a name, which has to be looked up.
    let socketAddress: SocketAddress?

    /// `nil` when it is not an address or a name with a port.
    public init?(_ text: String) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let digits = text[text.utf8.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(digits), (1...65535).contains(port)
        else { return nil }
        self.port = port
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]"), host.utf8.contains(UInt8(ascii: ":")),
            IPAddress(host.dropFirst().dropLast()) != nil
        {
            self.host = String(host.dropFirst().dropLast()).lowercased()
        } else if let name = ServerName(String(host)) {
            self.host = name.description
        } else {
            return nil
        }
        socketAddress = IPAddress(self.host) == nil ? nil : try? SocketAddress(ipAddress: self.host, port: port)
    }

    public var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
