import Foundation

/// What the provider's server holds out: tenants with open event streams, leases and tickets, restarts under load. Started
/// by `scripts/measure-server`.
///
///     ProviderLoad PROGRAMS [--tenants 10000] [--seconds 15] [--idle 60] [--rate 5000]
///
/// The server is a process with TLS and a database on the disk. Tenants come as through a relay, each with an address of
/// its own. Prints a Markdown table; the exit code is 1 when a limit was missed.
@main
enum ProviderLoad {
    static func main() async throws {
        let options = try Options(CommandLine.arguments.dropFirst())
        let provider = try await Provider(programs: options.programs)
        let table: Table
        do {
            try await provider.begin()
            var measurement = Measurement(provider, try await provider.door(), options)
            table = try await measurement.run()
        } catch {
            say("\(error)")
            try? await provider.remove()
            exit(1)
        }
        let troubles = try provider.troubles()
        try await provider.remove()
        for line in troubles.prefix(20) { say("server: \(line)") }
        print(table.text)
        exit(table.isMissed || !troubles.isEmpty ? 1 : 0)
    }
}

struct Options: Sendable {
    struct Usage: Error, CustomStringConvertible {
        let description = "usage: ProviderLoad PROGRAMS [--tenants N] [--seconds N] [--idle N] [--rate N]"
    }

    var programs = ""
    var tenants = 10_000
    /// How long leases, and tickets, are asked for.
    var seconds = 15
    /// How long the server's processor time is taken with nothing to do.
    var idle = 60
    /// Lease requests a second.
    var rate = 5000

    init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        func number() throws -> Int {
            guard let number = rest.popFirst().flatMap({ Int($0) }), number > 0 else { throw Usage() }
            return number
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--tenants": tenants = try number()
            case "--seconds": seconds = try number()
            case "--idle": idle = try number()
            case "--rate": rate = try number()
            default:
                guard programs.isEmpty, !argument.hasPrefix("-") else { throw Usage() }
                programs = argument
            }
        }
        guard !programs.isEmpty else { throw Usage() }
    }
}

/// What was measured, beside what must hold.
struct Table: Sendable {
    private var lines = ["| what | measured | limit |", "| --- | ---: | ---: |"]
    private(set) var isMissed = false

    var text: String { lines.joined(separator: "\n") }

    /// - Parameter holds: whether the limit does.
    mutating func add(_ what: String, _ measured: String, limit: String = "", holds: Bool = true) {
        isMissed = isMissed || !holds
        let line = "| \(what) | \(measured)\(holds ? "" : " (missed)") | \(limit) |"
        lines.append(line)
        say(line)
    }
}

/// What is going on, beside the table.
func say(_ line: String) {
    FileHandle.standardError.write(Data("\(line)\n".utf8))
}

extension Double {
    /// With so many digits behind the point.
    func shown(_ digits: Int = 2) -> String { String(format: "%.\(digits)f", self) }
}
