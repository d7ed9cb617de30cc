import ArgumentParser
import HawserNetwork
import NIOCore

/// `30s`, `5m`, `500ms`.
struct TimeOption: ExpressibleByArgument {
    var value: Duration

    init(_ value: Duration) {
        self.value = value
    }

    init?(argument: String) {
        let units: [(String, Duration)] = [
            ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)),
        ]
        guard let unit = units.first(where: { argument.hasSuffix($0.0) }),
            let count = Int(argument.dropLast(unit.0.count)), (1...1_000_000).contains(count)
        else { return nil }
        value = unit.1 * count
    }

    var defaultValueDescription: String {
        value.components.seconds % 60 == 0 ? "\(value.components.seconds / 60)m" : "\(value.components.seconds)s"
    }
}

/// `0.0.0.0:6180` or `[::]:6180`.
struct ListenOption: ExpressibleByArgument {
    var address: SocketAddress

    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":"), let port = UInt16(argument[argument.index(after: colon)...])
        else { return nil }
        var host = argument[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard IPAddress(host) != nil, let address = try? SocketAddress(ipAddress: String(host), port: Int(port)) else {
            return nil
        }
        self.address = address
    }
}

/// `192.0.2.0/24`, or one address.
struct BlockOption: ExpressibleByArgument {
    var block: AddressBlock

    init?(argument: String) {
        guard let block = AddressBlock(argument) else { return nil }
        self.block = block
    }
}

/// A number from 1 on.
struct CountOption: ExpressibleByArgument {
    var value: Int

    init(_ value: Int) {
        self.value = value
    }

    init?(argument: String) {
        guard let value = Int(argument), (1...10_000_000).contains(value) else { return nil }
        self.value = value
    }

    var defaultValueDescription: String { "\(value)" }
}
