import HawserFormat
import Testing

struct PadmeTests {
    @Test(arguments: [
        (0, 0), (1, 1), (2, 2), (3, 3), (7, 7), (8, 8), (9, 10), (15, 16), (100, 104), (1000, 1024), (4097, 4352),
        (65_537, 67_584), (4 << 20, 4 << 20), (-5, 0),
    ])
    func knownLengths(length: Int, padded: Int) {
        #expect(Padme.paddedLength(length) == padded)
    }

    @Test func paddingIsSmallAndStable() {
        for length in (1...5000).map({ $0 * $0 + $0 }) {
            let padded = Padme.paddedLength(length)
            #expect(padded >= length && padded - length <= length * 12 / 100)
            #expect(Padme.paddedLength(padded) == padded)
        }
        #expect(Padme.paddedLength(.max) == .max)
        #expect(Padme.paddedLength(10, atLeast: 4096) == 4096)
    }
}
