import Foundation
import HawserFormat
import Testing

@testable import HawserProvider

@Suite struct MomentTests {
    @Test(arguments: [0, 1, -1, 999, -999, 1000, -1000, -1001, 1_767_225_600_123, -62_135_596_800_000])
    func timesComeBack(milliseconds: Int64) throws {
        let moment = Moment(milliseconds: milliseconds)
        #expect(Moment(moment.timestamp) == moment)
        let json = try JSONEncoder().encode([moment])
        #expect(try JSONDecoder().decode([Moment].self, from: json) == [moment])
    }

    @Test func sumsEndAtTheEndOfTime() {
        let now = Moment(milliseconds: 1_767_225_600_000)
        #expect(now + .seconds(1) == Moment(milliseconds: 1_767_225_601_000))
        #expect(now + .seconds(-1) == Moment(milliseconds: 1_767_225_599_000))
        #expect(now + .seconds(Int64.max) == Moment(milliseconds: .max))
        #expect(now + .seconds(Int64.min) == Moment(milliseconds: .min))
        #expect((now + .seconds(90)) - now == .seconds(90))
    }

    @Test func garbageIsNoTime() {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([Moment].self, from: Data(#"["yesterday"]"#.utf8))
        }
    }
}
