import Foundation

/// How much is tried. `make test` has minutes and takes samples; `HAWSER_TEST_SCALE=full` tries everything.
enum TestScale {
    static let isFull = environment["HAWSER_TEST_SCALE"] == "full"

    /// Random kills of a running backup.
    static let kills = environment["HAWSER_KILLS"].flatMap { Int($0) } ?? (isFull ? 100 : 3)

    /// Printed by every random test; set `HAWSER_SEED` to repeat a run.
    static let seed = environment["HAWSER_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000)

    private static let environment = ProcessInfo.processInfo.environment
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough to choose test cases.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Bytes that do not compress.
    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeMutableBytes { buffer in
            var offset = 0
            while offset < count {
                withUnsafeBytes(of: next()) { word in
                    for byte in word.prefix(count - offset) {
                        buffer[offset] = byte
                        offset += 1
                    }
                }
            }
        }
        return bytes
    }
}
