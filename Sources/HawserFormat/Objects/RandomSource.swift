/// Where salts, nonces and new secrets come from: the system, except in tests that need known bytes.
struct RandomSource: Sendable {
    var bytes: @Sendable (_ count: Int) -> [UInt8]

    /// The kernel's generator, by way of Swift's cryptographically secure one.
    static let system = RandomSource { count in
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
