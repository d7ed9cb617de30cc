import ArgumentParser
import HawserFormat

/// A number of bytes as people write it: `512M`, `1.5GiB`.
struct SizeOption: Hashable, ExpressibleByArgument {
    var bytes: Int

    init?(argument: String) {
        guard let bytes = ByteSize.bytes(argument) else { return nil }
        self.bytes = bytes
    }
}

extension Duration {
    var inSeconds: Double { self / .seconds(1) }

    /// `0:07`, `12:34`, `1:02:03`.
    var clockText: String {
        let total = max(components.seconds, 0)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let hours = total / 3600
        let rest = "\(two(total / 60 % 60)):\(two(total % 60))"
        return hours > 0 ? "\(hours):\(rest)" : rest
    }
}
