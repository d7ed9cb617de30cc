import HawserControl
import HawserFormat
import Logging
import NIOHTTP1
import NIOSSL
import Synchronization
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct CertificateServingTests {
    @Test func anotherAuthorityIsNotTrusted() async throws {
        try await withProvider { provider, client in
            let other = try CertificateBook(domain: ServedProvider.domain, now: Date()).authorities
            let stranger = TestClient(provider, port: client.port, authorities: other) {}
            await #expect(throws: (any Error).self) { _ = try await stranger.send(.POST, ControlAPI.nonces) }
            try await stranger.shutdown()
        }
    }

    @Test func aRenewedCertificateIsShownWithoutARestart() async throws {
        let now = Mutex(Date())
        let kept = Mutex<[UInt8]?>(nil)
        let storage = CertificateStorage(
            loadBytes: { kept.withLock { $0 } },
            saveBytes: { bytes in kept.withLock { $0 = bytes } }
        )
        let keeper = try await CertificateKeeper(
            .book(storage, domain: "provider.test"),
            now: { now.withLock { $0 } },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let first = keeper.context
        let authority = keeper.authorities
        await keeper.tend()
        #expect(keeper.context === first)
        now.withLock { $0 += 61 * 86_400 }
        await keeper.tend()
        #expect(keeper.context !== first)
        #expect(keeper.authorities == authority)
        #expect(keeper.notAfter > now.withLock { $0 } + 80 * 86_400)

        try await keeper.rotate(overlap: .seconds(30 * 86_400))
        #expect(keeper.authorities.count == 2)
        let announced = keeper.context
        now.withLock { $0 += 30 * 86_400 }
        await keeper.tend()
        #expect(keeper.context !== announced)
        #expect(keeper.authorities == [keeper.authorities[0], authority[0]])
        #expect(keeper.authorities[0] != authority[0])
        now.withLock { $0 += 30 * 86_400 }
        await keeper.tend()
        #expect(keeper.authorities.count == 1)
    }

    @Test func aFailureToRenewKeepsTheOldCertificate() async throws {
        struct Unwritable: Error {}
        let now = Mutex(Date())
        let kept = Mutex<[UInt8]?>(nil)
        let isBroken = Mutex(false)
        let failures = Mutex(0)
        let storage = CertificateStorage(
            loadBytes: { kept.withLock { $0 } },
            saveBytes: { bytes in
                if isBroken.withLock({ $0 }) {
                    failures.withLock { $0 += 1 }
                    throw Unwritable()
                }
                kept.withLock { $0 = bytes }
            }
        )
        let keeper = try await CertificateKeeper(
            .book(storage, domain: "provider.test"),
            now: { now.withLock { $0 } },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let first = keeper.context
        isBroken.withLock { $0 = true }
        now.withLock { $0 += 61 * 86_400 }
        await keeper.tend()
        #expect(failures.withLock { $0 } == 1)
        #expect(keeper.context === first)
        isBroken.withLock { $0 = false }
        await keeper.tend()
        #expect(keeper.context !== first)
    }
}
