package import NIOCore

/// Lets the first few events of a kind through in each window and counts the others. Pure: the time is given.
package struct LogThrottle<Kind: Hashable & Sendable>: Sendable {
    private struct Window {
        var end: NIODeadline
        var passed = 0
        var suppressed = 0
    }

    private let burst: Int
    private let length: TimeAmount
    /// One for each kind; kinds are few.
    private var windows: [Kind: Window] = [:]

    package init(burst: Int, every length: TimeAmount) {
        self.burst = burst
        self.length = length
    }

    /// How many were suppressed since the last one that passed; `nil` to suppress this one.
    package mutating func pass(_ kind: Kind, now: NIODeadline) -> Int? {
        var window = windows[kind] ?? Window(end: now + length)
        defer { windows[kind] = window }
        if now >= window.end {
            window.end = now + length
            window.passed = 0
        }
        guard window.passed < burst else {
            window.suppressed += 1
            return nil
        }
        window.passed += 1
        defer { window.suppressed = 0 }
        return window.suppressed
    }
}
