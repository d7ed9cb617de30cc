import Glibc
import Hawser
import Synchronization

/// The program's two output streams: results, one live line of progress, problems; as text or as JSON lines.
final class Console: Sendable {
    static let shared = Console()

    enum Detail: Int, Comparable {
        case quiet, normal, verbose

        static func < (left: Detail, right: Detail) -> Bool { left.rawValue < right.rawValue }
    }

    private struct State {
        var isJSON = false
        var detail = Detail.normal
        /// Bytes for the standard output that were not written yet.
        var buffer: [UInt8] = []
        var hasLiveLine = false
        /// Where results and messages go.
        var output = STDOUT_FILENO
        /// What came of writing there, an errno, if it failed.
        var failure: Int32?
    }

    private let state = Mutex(State())
    let isTerminal = isatty(STDOUT_FILENO) == 1

    /// A listing of millions of lines is not written line by line.
    private static let bufferLimit = 64 << 10

    func configure(json: Bool, detail: Detail) {
        state.withLock {
            $0.isJSON = json
            $0.detail = detail
        }
    }

    /// The command writes data to the standard output: everything else goes to the standard error from now on.
    func giveOutputAway() {
        state.withLock { $0.output = STDERR_FILENO }
    }

    var isJSON: Bool { state.withLock { $0.isJSON } }
    var detail: Detail { state.withLock { $0.detail } }

    /// A result: shown even with `--quiet`, never together with JSON.
    func result(_ line: String) {
        guard !isJSON else { return }
        write(line + "\n")
    }

    /// What is nice to know.
    func note(_ line: String) {
        guard !isJSON, detail >= .normal else { return }
        write(line + "\n")
    }

    func details(_ line: String) {
        guard !isJSON, detail >= .verbose else { return }
        write(line + "\n")
    }

    /// One line of JSON, if JSON was asked for.
    func json(_ object: @autoclosure () -> JSONObject) {
        guard isJSON else { return }
        write(json: .object(object()))
    }

    func json(array: [JSONValue]) {
        guard isJSON else { return }
        write(json: .array(array))
    }

    private func write(json: JSONValue) {
        write(bytes: Self.line(json, toTerminal: isTerminal), flushing: true)
    }

    private static func line(_ json: JSONValue, toTerminal: Bool) -> [UInt8] {
        (toTerminal ? harmless(json.bytes) : json.bytes) + [UInt8(ascii: "\n")]
    }

    /// The same JSON with DEL and C1 control characters (U+0080 to U+009F) escaped: a terminal would obey them.
    static func harmless(_ json: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(json.count)
        for byte in json {
            switch byte {
            case 0x7f: bytes += "\\u007f".utf8
            case 0x80...0x9f where bytes.last == 0xc2:
                bytes.removeLast()
                bytes += "\\u00\([byte].hex)".utf8
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    func write(_ text: String) {
        write(bytes: Array(text.utf8), flushing: false)
    }

    func write(bytes: [UInt8], flushing: Bool) {
        state.withLock { state in
            clearLine(&state)
            state.buffer += bytes
            if flushing || isTerminal || state.buffer.count >= Self.bufferLimit { Self.flush(&state) }
        }
    }

    func flush() {
        state.withLock { Self.flush(&$0) }
    }

    /// - Throws: when a part of the output is lost. What only lists things need not go on then.
    func checkOutput() throws(OutputFailure) {
        if let code = state.withLock({ $0.failure }) { throw OutputFailure(code: code) }
    }

    /// A line of JSON of which the standard output must stay free, or which would be lost there.
    func jsonProblem(_ object: JSONObject) {
        state.withLock { state in
            Self.flush(&state)
            Self.writeAll(STDERR_FILENO, Self.line(.object(object), toTerminal: isatty(STDERR_FILENO) == 1))
        }
    }

    /// To the standard error; with JSON too.
    func warning(_ line: String) {
        state.withLock { state in
            clearLine(&state)
            Self.flush(&state)
            Self.writeAll(STDERR_FILENO, Array((line + "\n").utf8))
        }
    }

    // MARK: Progress

    /// Replaces the live line. Only on a terminal.
    func show(progress line: String) {
        state.withLock { state in
            Self.flush(&state)
            Self.writeAll(STDOUT_FILENO, Array(("\r\u{1b}[K" + line).utf8))
            state.hasLiveLine = true
        }
    }

    func endProgress() {
        state.withLock { clearLine(&$0) }
    }

    /// Before the program is left without further ado; does not wait for whoever holds the lock.
    func abandonProgress() {
        _ = state.withLockIfAvailable { clearLine(&$0) }
    }

    var width: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    private func clearLine(_ state: inout State) {
        guard state.hasLiveLine else { return }
        state.hasLiveLine = false
        Self.writeAll(STDOUT_FILENO, Array("\r\u{1b}[K".utf8))
    }

    private static func flush(_ state: inout State) {
        guard !state.buffer.isEmpty else { return }
        if state.failure == nil { state.failure = writeAll(state.output, state.buffer) }
        state.buffer.removeAll(keepingCapacity: true)
    }

    /// - Returns: an errno when it fails.
    @discardableResult
    private static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Int32? {
        do throws(OutputFailure) {
            try OutputFile(descriptor: descriptor).write(bytes)
            return nil
        } catch {
            return error.code
        }
    }
}
