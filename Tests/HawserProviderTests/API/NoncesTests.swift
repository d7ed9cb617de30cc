import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct NoncesTests {
    @Test func aNonceIsGoodOnce() {
        let nonces = Nonces()
        let nonce = nonces.make()
        #expect(nonce.count == 32)
        #expect(nonces.isFresh(nonce))
        #expect(nonces.use(nonce))
        #expect(!nonces.use(nonce))
        #expect(nonces.use(nonces.make()))
    }

    @Test func aNonceEndsAndComesFromThisServerOnly() {
        let start = ContinuousClock.now
        let nonces = Nonces(now: start)
        let nonce = nonces.make(now: start)
        #expect(nonces.isFresh(nonce, now: start + .seconds(60)))
        #expect(!nonces.isFresh(nonce, now: start + .seconds(61)))
        #expect(!Nonces().isFresh(nonce))
        for index in nonce.indices {
            var changed = nonce
            changed[index] ^= 1
            #expect(!nonces.isFresh(changed, now: start))
        }
        #expect(!nonces.isFresh(nonce.prefix(31), now: start))
        #expect(!nonces.isFresh(nonce + [0], now: start))
    }

    @Test func usedNoncesAreRememberedAsLongAsTheyLiveAndNotLonger() {
        let start = ContinuousClock.now
        let nonces = Nonces(now: start)
        let early = (0..<2000).map { _ in nonces.make(now: start) }
        #expect(early.allSatisfy { nonces.use($0, now: start) })
        #expect(early.allSatisfy { !nonces.use($0, now: start + .seconds(60)) })
        let late = (0..<4000).map { _ in nonces.make(now: start + .seconds(200)) }
        #expect(late.allSatisfy { nonces.use($0, now: start + .seconds(200)) })
        #expect(early.allSatisfy { !nonces.isFresh($0, now: start + .seconds(200)) })
    }
}
