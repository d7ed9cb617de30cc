import Crypto
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Nonces for sign-ins, each good once and for a short time.
///
/// A nonce carries its own proof (16 bytes of time and chance, 16 of their HMAC), so handing them out costs no memory,
/// whoever asks how often; only those are remembered that came back with a valid signature.
final class Nonces: Sendable {
    static let lifetime = Duration.seconds(60)

    private struct State {
        var used: [Data: ContinuousClock.Instant] = [:]
        var nextSweep = 1024
    }

    private let key = SymmetricKey(size: .bits256)
    private let started: ContinuousClock.Instant
    private let state = Mutex(State())

    init(now: ContinuousClock.Instant = .now) {
        started = now
    }

    func make(now: ContinuousClock.Instant = .now) -> Data {
        var bytes = Data(capacity: 32)
        withUnsafeBytes(of: milliseconds(now).bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt64.random(in: .min ... .max)) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: HMAC<SHA256>.authenticationCode(for: bytes, using: key).prefix(16))
        return bytes
    }

    /// Whether this server made it not long ago. It can still be used up.
    func isFresh(_ nonce: Data, now: ContinuousClock.Instant = .now) -> Bool {
        guard nonce.count == 32 else { return false }
        let expected = HMAC<SHA256>.authenticationCode(for: nonce.prefix(16), using: key).prefix(16)
        // In constant time: all bytes are looked at.
        guard zip(expected, nonce.suffix(16)).reduce(0 as UInt8, { $0 | ($1.0 ^ $1.1) }) == 0 else { return false }
        let made = nonce.prefix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        let age = milliseconds(now).subtractingReportingOverflow(made)
        return !age.overflow && age.partialValue <= UInt64(Self.lifetime / .milliseconds(1))
    }

    /// Uses it up; `false` when that has happened before.
    func use(_ nonce: Data, now: ContinuousClock.Instant = .now) -> Bool {
        state.withLock { state in
            guard state.used[nonce] == nil else { return false }
            state.used[nonce] = now
            if state.used.count >= state.nextSweep {
                state.used = state.used.filter { $0.value + Self.lifetime >= now }
                state.nextSweep = max(1024, state.used.count * 2)
            }
            return true
        }
    }

    private func milliseconds(_ now: ContinuousClock.Instant) -> UInt64 {
        UInt64(max(0, (now - started) / .milliseconds(1)))
    }
}
