import NIOCore
import Testing

@testable import HawserGateway

@Suite("Patience with a client in the middle of a body")
struct PatienceTests {
    private let begin = NIODeadline.uptimeNanoseconds(0)

    @Test("ends after a minute in which nothing comes")
    func silence() {
        var patience = Patience()
        patience.begin(begin)
        #expect(!patience.isOver(begin + .seconds(60)))
        #expect(patience.isOver(begin + .seconds(61)))
    }

    @Test("ends with a line of less than 8 KiB a second, and does not with a faster one")
    func slowLine() {
        for (bytes, isEnough) in [(9 << 10, true), (7 << 10, false)] {
            var patience = Patience()
            var isOver = false
            for second in 0..<3600 where !isOver {
                patience.begin(begin + .seconds(Int64(second)))
                isOver = patience.isOver(begin + .seconds(Int64(second) + 1))
                patience.end(bytes, begin + .seconds(Int64(second) + 1))
            }
            #expect(isOver == !isEnough)
        }
    }

    @Test("has no end while the server does not wait for the client, and saves nothing up")
    func othersTime() {
        var patience = Patience()
        patience.begin(begin)
        patience.end(1 << 30, begin)
        #expect(!patience.isOver(begin + .hours(5)))
        patience.begin(begin + .hours(5))
        #expect(patience.isOver(begin + .hours(5) + .seconds(61)))
    }
}
