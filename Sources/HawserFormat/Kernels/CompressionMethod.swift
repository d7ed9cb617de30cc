/// How new chunks are compressed; every chunk says for itself how it was.
public enum CompressionMethod: Hashable, Sendable {
    /// About the size of zstd's level 3 at a fifth more speed.
    case auto
    /// Chunks are stored as they are.
    case off
    case lz4
    /// 1...19; from 13 on a worker needs tens of megabytes.
    case zstd(level: Int)

    /// zstd's own default.
    static let defaultLevel = 3
    /// Levels above 19 are for more memory than a backup may use.
    static let levels = 1...19

    /// `auto`, `off`, `lz4`, `zstd` or `zstd:N`; `nil` for anything else.
    public init?(_ text: String) {
        switch text {
        case "auto": self = .auto
        case "off": self = .off
        case "lz4": self = .lz4
        case "zstd": self = .zstd(level: Self.defaultLevel)
        default:
            guard text.hasPrefix("zstd:"), let level = Int(text.dropFirst("zstd:".count)),
                Self.levels.contains(level), text == "zstd:\(level)"
            else { return nil }
            self = .zstd(level: level)
        }
    }
}

extension CompressionMethod: CustomStringConvertible {
    public var description: String {
        switch self {
        case .auto: "auto"
        case .off: "off"
        case .lz4: "lz4"
        case .zstd(let level): "zstd:\(level)"
        }
    }
}
