import Glibc
import HawserFormat
import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What commands print: text and tables for people, or one line of JSON.
enum Output {
    static func show(_ answer: some Encodable, _ options: ProviderOptions, _ text: String) throws {
        if options.json { try show(json: answer) } else { line(text) }
    }

    /// - Parameter rows: below the titles.
    static func show(
        _ answer: some Encodable,
        _ options: ProviderOptions,
        _ titles: [String],
        _ rows: [[String]]
    ) throws {
        if options.json { return try show(json: answer) }
        for text in aligned([titles] + rows) { line(text) }
    }

    static func show(json answer: some Encodable) throws {
        line(try json(answer))
    }

    /// Names as restic spells them; what is no list says that it is a summary.
    static func json(_ answer: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let bytes = try answer is any Collection ? encoder.encode(answer) : encoder.encode(Summary(answer: answer))
        return String(decoding: bytes, as: UTF8.self)
    }

    private struct Summary<Answer: Encodable>: Encodable {
        let answer: Answer

        private enum Field: CodingKey {
            case messageType
        }

        func encode(to encoder: any Encoder) throws {
            try answer.encode(to: encoder)
            var fields = encoder.container(keyedBy: Field.self)
            try fields.encode("summary", forKey: .messageType)
        }
    }

    static func line(_ text: String) {
        write(text + "\n", to: STDOUT_FILENO)
    }

    static func warning(_ text: String) {
        write(text + "\n", to: STDERR_FILENO)
    }

    /// What others gave as names and messages is shown, never sent to the terminal.
    private static func aligned(_ rows: [[String]]) -> [String] {
        let shown = rows.map { row in row.map { displayText($0.utf8) } }
        let columns = shown.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            shown.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return shown.map { row in
            row.enumerated().map { column, text in
                column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.count)
            }.joined(separator: "  ")
        }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nobody reads any more: nothing to say, and nobody to say it to.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

extension Moment {
    /// `2026-01-31 23:59` in UTC.
    var text: String {
        let text = description
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5))"
    }
}

extension Moment? {
    var text: String { map(\.text) ?? "-" }
}
