import Testing

@testable import HawserFormat

struct JSONTests {
    @Test(arguments: [
        #"{"a":[1,-2.50e+10,true,false,null],"b":{"":"x"}}"#,
        "18446744073709551616", "0", "-0", "0.1", "1e400", "\"\"", "[]", "{}", #""é😀\"\\\n\r\t\u0000\u001f/""#,
    ])
    func canonicalTextComesBack(text: String) throws {
        #expect(try JSONValue(parsing: Array(text.utf8)).bytes == Array(text.utf8))
    }

    @Test func otherSpellingsBecomeCanonical() throws {
        let text = " { \"b\" : \"\\u00e9\\ud83d\\ude00\\/\\b\\f\" ,\n\"a\" : [ ] } "
        let value = try JSONValue(parsing: Array(text.utf8))
        #expect(String(decoding: value.bytes, as: UTF8.self) == "{\"a\":[],\"b\":\"é😀/\\u0008\\u000c\"}")
    }

    @Test(arguments: [
        "", " ", "nul", "truee", "1 2", "01", "+1", "1.", ".5", "1e", "-", "\"", "\"\\x\"", "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\u{01}\"", "[1,]", "[1", "[,]", "{\"a\"}", "{\"a\":1,}", "{a:1}",
        "{\"a\":1,\"a\":2}", "{\"a\":1 \"b\":2}", "NaN", "\u{feff}1",
    ])
    func invalidTextIsRefused(text: String) {
        #expect(errorCode { _ = try JSONValue(parsing: Array(text.utf8)) } == .damaged)
    }

    @Test func bytesThatAreNotUTF8AreRefused() {
        #expect(errorCode { _ = try JSONValue(parsing: [0x22, 0xff, 0x22]) } == .damaged)
        #expect(errorCode { _ = try JSONValue(parsing: [0x22, 0xed, 0xa0, 0x80, 0x22]) } == .damaged)
    }

    @Test func depthIsBounded() {
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        #expect(errorCode { _ = try JSONValue(parsing: deep) } == .damaged)
    }

    @Test func fieldNamesAreComparedAsBytes() throws {
        let value = try JSONValue(parsing: Array("{\"e\u{301}\":1,\"\u{e9}\":2}".utf8))
        #expect(value.object?["\u{e9}"] == .integer(2))
        #expect(value.object?["e\u{301}"] == .integer(1))
    }

    @Test(arguments: [
        (0, 0, "1970-01-01T00:00:00.000000000Z"), (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"), (1_769_904_000, 0, "2026-02-01T00:00:00.000000000Z"),
        (-62_167_219_200, 0, "0000-01-01T00:00:00.000000000Z"), (253_402_300_799, 0, "9999-12-31T23:59:59.000000000Z"),
    ])
    func timesHaveOneText(seconds: Int64, nanoseconds: UInt32, text: String) {
        let time = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
        #expect(time.text == text)
        #expect(Timestamp(text: text) == time)
    }

    @Test func impossibleTimesAreRefused() {
        for seconds in [-62_167_219_201, 253_402_300_800, Int64.max, .min] {
            #expect(Timestamp(seconds: seconds).text == nil)
        }
        for text in [
            "2026-02-29T00:00:00.000000000Z", "2026-13-01T00:00:00.000000000Z", "2026-00-01T00:00:00.000000000Z",
            "2026-01-01T24:00:00.000000000Z", "2026-01-01T00:60:00.000000000Z", "2026-01-01T00:00:00.00000000Z",
            "2026-01-01T00:00:00.000000000+01:00", "",
        ] {
            #expect(Timestamp(text: text) == nil)
        }
    }

    @Test func everyDayOfACenturyComesBack() {
        for day in stride(from: Int64(-36_600), through: 36_600, by: 1) {
            let time = Timestamp(seconds: day * 86_400 + 1)
            #expect(time.text.flatMap(Timestamp.init(text:)) == time)
        }
    }
}
