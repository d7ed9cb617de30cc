import HawserFormat
import HawserTesting

/// Trees drawn from a seed, with files of all sizes at which something changes.
enum GeneratedTree {
    private static let kibibyte: UInt64 = 1 << 10
    private static let mebibyte: UInt64 = 1 << 20

    /// Inline limit, smallest chunk, small and large files, small buffer with and without slack, large buffer.
    static let thresholds: [UInt64] = [
        0, 1, 511, 512, 513, 4096, 100_000,
        256 * kibibyte - 1, 256 * kibibyte, 256 * kibibyte + 1,
        512 * kibibyte - 1, 512 * kibibyte, 512 * kibibyte + 1,
        mebibyte - 4096, mebibyte - 4095, mebibyte - 1, mebibyte, mebibyte + 1,
    ]
    static let largeThresholds: [UInt64] = [5 * mebibyte - 1, 5 * mebibyte, 5 * mebibyte + 1, 12 * mebibyte]

    static func random(seed: UInt64, files: Int = 40) -> [GeneratedNode] {
        var generator = SplitMix64(seed: seed)
        var nodes: [GeneratedNode] = []
        for number in 0..<files {
            let depth = Int.random(in: 0...3, using: &generator)
            let folders = (0..<depth).map { _ in "d\(Int.random(in: 0...3, using: &generator))" }
            let path = (["/data"] + folders + ["f\(number)"]).joined(separator: "/")
            nodes.append(GeneratedNode(path, .file, content(&generator)))
        }
        var link = GeneratedNode("/data/link", .symlink)
        link.entry.linkTarget = Array("d0/f0".utf8)
        return nodes + [link, GeneratedNode("/data/empty", .directory)]
    }

    /// Some files other, some gone, some new, the rest as it was.
    static func changed(_ nodes: [GeneratedNode], seed: UInt64) -> [GeneratedNode] {
        var generator = SplitMix64(seed: seed)
        var changed: [GeneratedNode] = []
        for node in nodes {
            guard node.entry.kind == .file else {
                changed.append(node)
                continue
            }
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: continue
            case 1: changed.append(node.rewritten(content(&generator)))
            case 2:
                // Something before what was there.
                changed.append(node.rewritten([.noise(seed: generator.next(), length: 777)] + node.content))
            default: changed.append(node)
            }
        }
        changed.append(GeneratedNode("/data/new/file", .file, content(&generator)))
        return changed
    }

    private static func content(_ generator: inout SplitMix64) -> [Stretch] {
        let choice = Int.random(in: 0..<20, using: &generator)
        switch choice {
        case 0:
            let length = largeThresholds.randomElement(using: &generator) ?? 0
            return [.noise(seed: generator.next(), length: length)]
        case 1:
            let repeated = Stretch.noise(seed: generator.next() % 3, length: 3 * mebibyte)
            return [repeated, .noise(seed: generator.next(), length: 12_345), repeated, repeated]
        case 2:
            return [
                .noise(seed: generator.next(), length: 700_000), .hole(length: 9 * mebibyte),
                .dull(seed: generator.next(), length: 2 * mebibyte), .hole(length: 1 << 40),
            ]
        case 3:
            return [.zeros(length: 6 * mebibyte), .noise(seed: generator.next(), length: 5)]
        case 4:
            return [.hole(length: mebibyte), .noise(seed: generator.next(), length: 600_000)]
        default:
            let length = thresholds.randomElement(using: &generator) ?? 0
            if length == 0 { return [] }
            return [
                choice < 7
                    ? .dull(seed: generator.next(), length: length)
                    : .noise(seed: generator.next() % 50, length: length)
            ]
        }
    }
}
