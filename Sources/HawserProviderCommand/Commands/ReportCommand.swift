import ArgumentParser
import HawserControl
import HawserFormat
import HawserProvider

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Show how tenants stand, or what they had stored in a month.",
        discussion: """
            Examples:
              hawser-provider report
              hawser-provider report --month 2026-01 --csv > january.csv
            """
    )

    @Option(help: ArgumentHelp("For bills: stored bytes, requests and egress in this month.", valueName: "YYYY-MM"))
    var month: String?
    @Flag(help: "Print comma-separated values; bytes as numbers.") var csv = false
    @OptionGroup var options: ProviderOptions

    func validate() throws {
        if csv, options.json { throw ValidationError("--csv and --json contradict each other.") }
    }

    func run() async throws {
        if let month {
            let lines = try await options.perform(UsageMonth(month: month))
            try show(
                lines,
                [
                    "tenant", "subtenant", "repository", "days", "requests", "not counted", "average", "peak", "egress",
                ],
                lines.map {
                    [
                        $0.tenant, $0.subtenant ?? "", $0.repository, String($0.days), String($0.requests),
                        $0.uncounted.map(\.rawValue).joined(separator: " "),
                    ]
                },
                bytes: lines.map { [$0.average, $0.peak, $0.egress] }
            )
        } else {
            let lines = try await options.perform(UsageReport())
            try show(
                lines,
                [
                    "tenant", "repository", "state", "last backup", "oldest backup", "lease end", "quota", "used",
                    "free",
                ],
                lines.map {
                    [
                        $0.tenant, $0.repository, $0.isOver ? "over quota" : $0.isEnabled ? "enabled" : "disabled",
                        $0.lastBackup.map(\.text) ?? "", $0.oldestBackup.map(\.text) ?? "",
                        $0.leaseEnd.map(\.text) ?? "",
                    ]
                },
                bytes: lines.map { [$0.quota, $0.used, $0.free] }
            )
        }
    }

    private func show(_ answer: some Encodable, _ titles: [String], _ texts: [[String]], bytes: [[Int?]]) throws {
        guard csv else {
            let rows = zip(texts, bytes).map { texts, bytes in
                texts.map { $0.isEmpty ? "-" : $0 } + bytes.map { ByteSize.text($0) }
            }
            return try Output.show(answer, options, titles.map { $0.uppercased() }, rows)
        }
        Output.line(titles.joined(separator: ","))
        for (texts, bytes) in zip(texts, bytes) {
            // Names have neither commas nor quotes.
            Output.line((texts + bytes.map { $0.map(String.init) ?? "" }).joined(separator: ","))
        }
    }
}
