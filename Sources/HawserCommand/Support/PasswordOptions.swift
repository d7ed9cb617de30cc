import ArgumentParser
import Glibc
import Hawser

/// Where the password comes from. Never from an argument: those can be seen by everybody on the machine.
struct PasswordOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Read the password from this file. [HAWSER_PASSWORD_FILE]", valueName: "file"),
        completion: .file()
    )
    var passwordFile: String?

    @Option(
        help: ArgumentHelp(
            "Run this command and take what it prints as the password. [HAWSER_PASSWORD_COMMAND]",
            valueName: "command"
        ),
        completion: .shellCommand("compgen -c")
    )
    var passwordCommand: String?

    /// Whether an option was given without saying anything.
    var isEmptyPath: Bool { passwordFile == "" || passwordCommand == "" }

    /// - Parameter isNew: a password that is typed has to be typed twice.
    func password(isNew: Bool = false) async throws -> Secret {
        let bytes = try await bytes(isNew: isNew)
        return try Self.secret(bytes)
    }

    /// - Throws: `wrongPassword` for an empty one: to a caller it is the same as none.
    static func secret(_ bytes: [UInt8]) throws -> Secret {
        guard !bytes.isEmpty else { throw HawserError(.wrongPassword, "The password is empty.") }
        return Secret(bytes)
    }

    private func bytes(isNew: Bool) async throws -> [UInt8] {
        // What is given as an option goes before the environment.
        if let passwordFile { return try Self.read(file: passwordFile) }
        if let passwordCommand { return try await Self.run(passwordCommand) }
        if let password = Environment.bytes("HAWSER_PASSWORD") { return password }
        if let file = Environment.value("HAWSER_PASSWORD_FILE") { return try Self.read(file: file) }
        if let command = Environment.value("HAWSER_PASSWORD_COMMAND") { return try await Self.run(command) }
        return try Self.prompt(isNew: isNew)
    }

    static func prompt(isNew: Bool, name: String = "Password") throws -> [UInt8] {
        guard let first = Echo.readHidden(prompt: name + ": ") else {
            throw HawserError(
                .wrongPassword,
                "There is no password and no terminal to ask: set HAWSER_PASSWORD, HAWSER_PASSWORD_FILE or HAWSER_PASSWORD_COMMAND."
            )
        }
        if isNew {
            guard first == Echo.readHidden(prompt: name + " again: ") else {
                throw HawserError(.invalidArgument, "The two passwords are not the same.")
            }
        }
        return first
    }

    static func read(file: String) throws -> [UInt8] {
        withoutNewline(try SmallFile.read(file, what: "password file"))
    }

    /// With the shell's rules for words, by the shell. It is asked only what it prints.
    private static func run(_ command: String) async throws -> [UInt8] {
        let source = try StreamSource(command: [Array("/bin/sh".utf8), Array("-c".utf8), command.rawBytes])
        // No password is longer; a command that goes on for ever is not read for ever.
        let limit = 64 << 10
        return try await withTaskExecutorPreference(BlockingExecutor.shared) {
            let entry = Entry(path: StreamSource.defaultPath, kind: .file)
            let stream = try await source.open(entry)
            defer { stream.close() }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
            defer {
                buffer.initializeMemory(as: UInt8.self, repeating: 0)
                buffer.deallocate()
            }
            do {
                let count = try await stream.read(into: buffer, at: 0)
                return withoutNewline(Array(buffer[..<count]))
            } catch let error as HawserError {
                throw HawserError(error.code, "The password command failed.", cause: error.cause)
            }
        }
    }

    /// One at the end, as editors and `echo` leave it.
    private static func withoutNewline(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return bytes
    }
}
