import CHawser
import Glibc
import HawserFormat

/// A program that was started: its standard output is a pipe, its standard input empty. All calls block.
package struct ChildProcess: Sendable {
    private let number: pid_t
    /// To be closed by whoever started it.
    package let output: CInt

    package enum Ending: Sendable, Equatable {
        case exit(Int32)
        case signal(Int32)
    }

    /// The number of the system's error.
    package struct NotStarted: Error {
        package let number: CInt
        package var text: String { String(cString: strerror(number)) }
    }

    /// - Parameter environment: `NAME=value`.
    package init(_ command: [[UInt8]], environment: [[UInt8]]) throws(NotStarted) {
        var started: pid_t = 0
        var output: CInt = -1
        let result = Self.withArguments(command) { arguments in
            Self.withArguments(environment) { hawser_spawn(&started, arguments, $0, &output) }
        }
        guard result == 0 else { throw NotStarted(number: -result) }
        number = started
        self.output = output
    }

    /// Waits for the end. To be called until it has ended once.
    package func wait() -> Ending {
        Self.ending(hawser_wait(number, 1))
    }

    /// How it ended, if it has: does not wait. To be called until it has ended once.
    package func ending() -> Ending? {
        let status = hawser_wait(number, 0)
        return status == -EAGAIN ? nil : Self.ending(status)
    }

    /// Asks it to end, and ends it when it has not done so within a second: that is within what a cancelled job has.
    package func end() {
        kill(number, SIGTERM)
        for _ in 0..<100 {
            if hawser_wait(number, 0) != -EAGAIN { return }
            usleep(10_000)
        }
        kill(number, SIGKILL)
        _ = hawser_wait(number, 1)
    }

    /// What a command of the shell prints, which inherits no repository's password. Blocks.
    ///
    /// - Parameters:
    ///   - limit: bytes.
    ///   - name: for messages: `The credential process`.
    /// - Throws: `accessDenied` when it can't be started, fails, or prints more than `limit`.
    package static func output(of command: String, limit: Int, name: String) throws -> [UInt8] {
        let process: ChildProcess
        do throws(NotStarted) {
            process = try ChildProcess(
                ["/bin/sh", "-c", command].map { Array($0.utf8) },
                environment: environment { $0.starts(with: "HAWSER_PASSWORD".utf8) }
            )
        } catch {
            throw HawserError(.accessDenied, "\(name) could not be started: \(error.text).")
        }
        let output = readAll(process.output, limit: limit)
        close(process.output)
        guard let output, output.count <= limit else {
            process.end()
            throw HawserError(.accessDenied, "\(name) printed something else than what it is for.")
        }
        guard process.wait() == .exit(0) else {
            throw HawserError(.accessDenied, "\(name) failed. Run it by hand to see why.")
        }
        return output
    }

    private static func ending(_ status: Int32) -> Ending {
        status >= 256 ? .signal(status - 256) : .exit(status)
    }

    /// This process's variables without those that `isLeftOut` names.
    package static func environment(without isLeftOut: (_ variable: [UInt8]) -> Bool) -> [[UInt8]] {
        var variables: [[UInt8]] = []
        var next = environ
        while let variable = next.pointee {
            let bytes = Array(UnsafeRawBufferPointer(start: variable, count: strlen(variable)))
            if !isLeftOut(bytes) { variables.append(bytes) }
            next += 1
        }
        return variables
    }

    /// As C wants them: an array of pointers that ends with a null pointer.
    private static func withArguments<Value>(
        _ strings: [[UInt8]],
        _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        var bytes: [CChar] = []
        var offsets: [Int] = []
        for string in strings {
            offsets.append(bytes.count)
            bytes.append(contentsOf: string.lazy.map { CChar(bitPattern: $0) })
            bytes.append(0)
        }
        return bytes.withUnsafeMutableBufferPointer { bytes in
            var pointers: [UnsafeMutablePointer<CChar>?] = offsets.map { offset in bytes.baseAddress.map { $0 + offset }
            }
            pointers.append(nil)
            return pointers.withUnsafeBufferPointer { pointers in
                withExtendedLifetime(bytes) { body(pointers.baseAddress ?? Self.none) }
            }
        }
    }

    // Never written or freed.
    private nonisolated(unsafe) static let none: UnsafePointer<UnsafeMutablePointer<CChar>?> = {
        let pointer = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: 1)
        pointer.initialize(to: nil)
        return UnsafePointer(pointer)
    }()
}

/// Everything up to the end, or a little more than `limit` bytes; `nil` when reading fails. Blocks.
package func readAll(_ descriptor: CInt, limit: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while bytes.count <= limit {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return bytes
}
