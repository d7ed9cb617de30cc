import Hawser
import Synchronization

/// Shows how far a job is: a live line on a terminal, a status object a second with `--json`, otherwise a line a minute.
final class ProgressReport: Sendable {
    private let console = Console.shared
    /// When the last line was written that is not replaced; `nil` while none was.
    private let lastLine = Mutex<Duration?>(nil)
    private let lastStep = Mutex(Duration.zero)

    /// How often the job is to be asked.
    var interval: Duration {
        if console.isJSON { return .seconds(1) }
        return console.isTerminal ? .milliseconds(200) : .seconds(60)
    }

    /// - Parameters:
    ///   - line: what is said of the state, and what of it may be cut off for want of room.
    func show(after elapsed: Duration, line: () -> (text: String, detail: String), json: () -> JSONObject) {
        if console.isJSON {
            if console.detail > .quiet { console.json(json()) }
            return
        }
        guard console.detail > .quiet else { return }
        let (text, detail) = line()
        if console.isTerminal {
            console.show(progress: TerminalText.fit(text, detail, width: console.width - 1))
        } else if isDue(elapsed) {
            console.note(text)
            console.flush()
        }
    }

    /// The same for whoever is told of every step: most of them pass unseen.
    func showOften(after elapsed: Duration, line: () -> (text: String, detail: String), json: () -> JSONObject) {
        let isDue = lastStep.withLock { last in
            guard elapsed - last >= interval else { return false }
            last = elapsed
            return true
        }
        if isDue { show(after: elapsed, line: line, json: json) }
    }

    private func isDue(_ elapsed: Duration) -> Bool {
        // Timers come a little early or late.
        let minute = Duration.seconds(59)
        return lastLine.withLock { last in
            guard elapsed - (last ?? .zero) >= minute else { return false }
            last = elapsed
            return true
        }
    }
}

enum TerminalText {
    /// `text`, and the end of `detail` as far as there is room.
    static func fit(_ text: String, _ detail: String, width: Int) -> String {
        let room = width - self.width(text) - 2
        if room < 8 || detail.isEmpty { return prefix(text, width: width) }
        if self.width(detail) <= room { return text + "  " + detail }
        return text + "  …" + suffix(detail, width: room - 1)
    }

    static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + width($1) }
    }

    static func prefix(_ text: String, width limit: Int) -> String {
        var result = ""
        var used = 0
        for scalar in text.unicodeScalars {
            used += width(scalar)
            if used > limit { break }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    private static func suffix(_ text: String, width limit: Int) -> String {
        var used = 0
        var start = text.unicodeScalars.endIndex
        for index in text.unicodeScalars.indices.reversed() {
            used += width(text.unicodeScalars[index])
            if used > limit { break }
            start = index
        }
        return String(text.unicodeScalars[start...])
    }

    /// Columns: none for marks that combine, two for East Asian wide characters and emoji, one for others.
    private static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0x20..<0x7f: return 1
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f,
            0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f900...0x1f9ff, 0x2_0000...0x3_fffd:
            return 2
        default:
            switch scalar.properties.generalCategory {
            case .nonspacingMark, .enclosingMark, .format: return 0
            default: return 1
            }
        }
    }
}
