import Hawser
import Testing

@testable import HawserCommand

@Suite("Output")
struct OutputTests {
    @Test("A backup's summary has restic's fields")
    func summary() throws {
        var summary = BackupSummary()
        summary.filesProcessed = 3
        summary.duration = .milliseconds(1500)
        let object = BackupReport().json(summary, options: BackupOptions(), start: Timestamp(seconds: 0))
        #expect(object["message_type"]?.string == "summary")
        for field in [
            "files_new", "files_changed", "files_unmodified", "dirs_new", "data_added", "data_added_packed",
            "total_files_processed", "total_bytes_processed",
        ] {
            #expect(object[field]?.integer(UInt64.self) != nil, "\(field)")
        }
        #expect(object["total_duration"] == .number("1.500"))
        #expect(object["snapshot_id"] == nil, "a dry run has none")
        // Whatever is printed must be JSON.
        _ = try JSONValue(parsing: JSONValue.object(object).bytes)
    }

    @Test("JSON for a terminal has no raw control characters, and says the same")
    func harmlessJSON() throws {
        var object = JSONObject()
        object["name"] = .string("a\u{1b}[31m\u{7f}\u{9b}31m\u{80}é\u{9f}\u{a0}日本\u{2080}")
        let value = JSONValue.object(object)
        let bytes = Console.harmless(value.bytes)
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        #expect(scalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
        #expect(scalars.contains("é") && scalars.contains("\u{a0}") && scalars.contains("\u{2080}"))
        #expect(try JSONValue(parsing: bytes) == value)
    }

    @Test("A status has restic's fields")
    func status() {
        var progress = BackupProgress(elapsed: .seconds(2))
        progress.bytesFound = 200
        progress.bytesDone = 50
        progress.currentPath = EntryPath([0x61, 0xff])
        let object = BackupReport().json(progress)
        #expect(object["percent_done"] == .number("0.2500"))
        #expect(object["total_bytes"] == .integer(200) && object["bytes_done"] == .integer(50))
        #expect(object["seconds_elapsed"] == .integer(2))
        #expect(object["current_files_raw"] != nil, "the name is not UTF-8")
    }

    @Test("An error says what, where and in one word why")
    func errors() {
        let error = HawserError(.accessDenied, "No.", place: "/x")
        let object = ProblemText.json(error, item: Array("/x".utf8), during: "archival")
        #expect(object["code"]?.string == "access_denied" && object["item"]?.string == "/x")
        #expect(object["error"]?.object?["message"]?.string?.contains("No.") == true)
    }

    @Test("Places and causes never reach the terminal raw")
    func failures() {
        struct Cause: Error, CustomStringConvertible { var description: String { "\u{1b}[2J" } }
        let text = Failure.text(HawserError(.fileSystem, "Bad\u{7}.", place: "a\nb", cause: Cause()))
        #expect(text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }, "\(text)")
    }

    @Test("The live line never exceeds the terminal's width", arguments: [10, 20, 40, 79, 200])
    func liveLine(width: Int) {
        for detail in ["", "/short", String(repeating: "/long", count: 50), String(repeating: "/日本語", count: 30)] {
            let line = TerminalText.fit("[0:07] 12.5 %  1.000 GiB", detail, width: width)
            #expect(TerminalText.width(line) <= width, "\(line)")
        }
    }

    @Test("Permissions look as ls shows them")
    func permissions() {
        func text(_ kind: Entry.Kind, _ mode: UInt16) -> String {
            var entry = Entry(path: .root.appending("x".utf8), kind: kind)
            entry.mode = mode
            return EntryText.permissions(entry)
        }
        #expect(text(.directory, 0o1777) == "drwxrwxrwt")
        #expect(text(.file, 0o4755) == "-rwsr-xr-x")
        #expect(text(.file, 0o2644) == "-rw-r-Sr--")
        #expect(text(.symlink, 0o777) == "lrwxrwxrwx")
    }

    @Test("Changes get restic's letters")
    func changes() {
        var statistics = DiffStatistics()
        var old = Entry(path: .root.appending("x".utf8), kind: .file)
        old.size = 1
        var longer = old
        longer.size = 2
        var touched = old
        touched.mode = 0o600
        var folder = old
        folder.kind = .directory
        #expect(statistics.take(.added(old), metadata: false) == "+")
        #expect(statistics.take(.removed(old), metadata: false) == "-")
        #expect(statistics.take(.changed(old: old, new: longer), metadata: false) == "M")
        #expect(statistics.take(.changed(old: old, new: folder), metadata: false) == "T")
        #expect(statistics.take(.changed(old: old, new: touched), metadata: false) == nil)
        #expect(statistics.take(.changed(old: old, new: touched), metadata: true) == "U")
        #expect(statistics.changedFiles == 1 && statistics.added.files == 1)
    }

    @Test("A pattern finds entries, not all that lies below them")
    func matching() throws {
        func matches(_ pattern: String, _ path: String) throws -> Bool {
            let path = try #require(EntryPath(path.utf8))
            return try NameMatcher(Array(pattern.utf8), ignoringCase: false).matches(path)
        }
        #expect(try matches("*.txt", "home/a.txt"))
        #expect(try matches("home", "home"))
        #expect(try !matches("home", "home/a.txt"))
        #expect(try matches("/home/*", "home/a.txt"))
        #expect(try !matches("/home/*", "home/b/c"))
    }
}
