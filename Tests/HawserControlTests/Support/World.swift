import Foundation
import HawserFormat
import HawserTesting
import Logging
import Testing

@testable import HawserControl

/// A provider, and a machine that is registered there, at a clock that the test moves.
struct World {
    let key: DeviceKey
    let provider: FakeProvider
    let clock: ManualClock
    let profile: ProviderProfile

    /// A certificate (P-256, for a hundred years) whose key nobody has.
    static let certificate = Data(
        base64Encoded: [
            "MIIBlzCCAT2gAwIBAgIUC9CoIZjib/qnLgIGt+Nb5UHnvyUwCgYIKoZIzj0EAwIwIDEeMBwGA1UEAwwVSGF3c2VyIH",
            "Rlc3QgYXV0aG9yaXR5MCAXDTI2MTEyNjA1NDcxMVoYDzIxMjYxMTAyMDU0NzExWjAgMR4wHAYDVQQDDBVIYXdzZXIg",
            "dGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASY+GgV8bKLtHNsohm+xKydOk2Q3eVXQuCtgA",
            "QXg9ZOx4mTmD/uFjuFvOvlPSyZLr+PCNfvV3ZCLOa39APk7/qyo1MwUTAdBgNVHQ4EFgQU1ixcGF7ank5UZdc03/66",
            "dQC4TSgwHwYDVR0jBBgwFoAU1ixcGF7ank5UZdc03/66dQC4TSgwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAg",
            "NIADBFAiAoOc2dECM+FOQHhMFkOVSSgFzVcUMxuLOZny81KcvU3AIhAM8w8g/+NzvQWbdU4crP/Kzt9ZBJghquInge",
            "+UutHy7Q",
        ].joined()
    )

    init(clock: ManualClock = ManualClock()) {
        key = DeviceKey()
        provider = FakeProvider(publicKey: key.publicKey)
        self.clock = clock
        profile = ProviderProfile(
            domain: FakeProvider.domain,
            gateways: ["gw1:6180", "gw2:6180"].compactMap { GatewayAddress($0) },
            authorities: [Data([1])],
            tenant: "Muster",
            device: provider.device,
            key: .profile(key)
        )
    }

    /// - Parameter random: 0: no pauses, 1: the longest.
    func connection(
        random: Double = 0,
        key: DeviceKey? = nil,
        onProfileChange: @escaping @Sendable (ProviderProfile) async -> Void = { _ in },
        wallClock: @escaping @Sendable () -> Double = { 900 }
    ) -> ProviderConnection {
        ProviderConnection(
            profile,
            key: key ?? self.key,
            purpose: .backup,
            agent: "test",
            settings: .init(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            clock: clock,
            random: { random },
            wallClock: wallClock,
            makeTransport: { [provider] gateway, _ in provider.transport(gateway) },
            onProfileChange: onProfileChange
        )
    }
}

extension ProviderConnection {
    /// The first status that is as wanted.
    func first(_ isWanted: @Sendable (ConnectionStatus) -> Bool) async throws -> ConnectionStatus {
        for await status in statuses where isWanted(status) { return status }
        throw CancellationError()
    }

    /// Connected for the nth time.
    @discardableResult
    func link(_ number: Int) async throws -> ConnectionStatus {
        try await first {
            if case .connected = $0.phase { return $0.link >= number }
            return false
        }
    }
}
