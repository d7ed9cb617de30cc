import HawserFormat
import Testing

@Suite struct DisplayTextTests {
    @Test(arguments: ["plain name.txt", "Grüße", "日本語　名", "naïve—“quoted”", "🚢⚓", "e\u{301}", ""])
    func keepsPrintableText(_ text: String) {
        #expect(displayText(text.utf8) == text)
    }

    @Test(arguments: [
        ("a\u{1b}[31mb", #"a\x1b[31mb"#), ("a\nb\r\t\0\u{7f}", #"a\x0ab\x0d\x09\x00\x7f"#), (#"a\b"#, #"a\\b"#),
        ("\u{9b}31m", #"\u{9b}31m"#), ("evil\u{202e}gpj.exe", #"evil\u{202e}gpj.exe"#),
        ("\u{2066}\u{2069}", #"\u{2066}\u{2069}"#),
        ("a\u{2028}b\u{2029}", #"a\u{2028}b\u{2029}"#), ("a\u{200b}b\u{feff}\u{ad}", #"a\u{200b}b\u{feff}\u{ad}"#),
        ("\u{3164}\u{fe0f}\u{e0041}", #"\u{3164}\u{fe0f}\u{e0041}"#), ("\u{e000}\u{10ffff}", #"\u{e000}\u{10ffff}"#),
    ])
    func escapesWhatIsNotPrintable(_ text: String, _ expected: String) {
        #expect(displayText(text.utf8) == expected)
    }

    @Test(
        arguments: [
            ([0xff, 0x61], #"\xffa"#), ([0xc3], #"\xc3"#), ([0xe2, 0x82, 0x41], #"\xe2\x82A"#),
            ([0xc0, 0xaf], #"\xc0\xaf"#),
            ([0xed, 0xa0, 0x80], #"\xed\xa0\x80"#), ([0xf4, 0x90, 0x80, 0x80], #"\xf4\x90\x80\x80"#),
            ([0x80, 0xc3, 0xbc], #"\x80ü"#),
        ] as [([UInt8], String)]
    )
    func escapesBytesThatAreNotText(_ bytes: [UInt8], _ expected: String) {
        #expect(displayText(bytes) == expected)
    }

    @Test func anyBytesGiveSafeTextThatTellsThemApart() {
        var random = TreeFixtures.Generator(state: 5)
        var seen: [String: [UInt8]] = [:]
        for _ in 0..<3_000 {
            let bytes = random.bytes(.random(in: 0...6, using: &random))
            let text = displayText(bytes)
            #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
            #expect(seen[text] == nil || seen[text] == bytes)
            seen[text] = bytes
        }
    }
}
