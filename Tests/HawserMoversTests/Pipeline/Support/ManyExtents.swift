import HawserFormat

/// A file with more extents than an entry holds, of little content.
enum ManyExtents {
    static func node(_ path: String, count: Int = 100, seed: UInt64 = 1) -> GeneratedNode {
        GeneratedNode(
            path,
            .file,
            (0..<count).flatMap {
                [Stretch.noise(seed: seed &* 1000 &+ UInt64($0), length: 5000), .hole(length: 1 << 20)]
            }
        )
    }
}
