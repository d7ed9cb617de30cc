import Glibc
import Synchronization

/// Reads from the terminal without showing what is typed.
enum Echo {
    /// What the terminal was set to, while it is changed.
    private static let saved = Mutex<termios?>(nil)

    /// - Returns: one line without its end; `nil` when there is no terminal.
    static func readHidden(prompt: String) -> [UInt8]? {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard terminal >= 0 else { return nil }
        defer { close(terminal) }
        var settings = termios()
        guard tcgetattr(terminal, &settings) == 0 else { return nil }
        saved.withLock { $0 = settings }
        settings.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(terminal, TCSAFLUSH, &settings)
        defer { restore() }
        write(prompt, to: terminal)
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(terminal, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        write("\n", to: terminal)
        return line
    }

    /// Sets the terminal back if it is changed; also from the thread that waits for signals.
    static func restore() {
        saved.withLock { settings in
            guard var original = settings else { return }
            settings = nil
            let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
            if terminal < 0 { return }
            tcsetattr(terminal, TCSANOW, &original)
            close(terminal)
        }
    }

    private static func write(_ text: String, to terminal: Int32) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(terminal, bytes, bytes.count)
    }
}
