import ArgumentParser
import HawserFormat
import HawserProvider

struct TenantExportAccessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export-access",
        abstract: "Let a tenant read its data without this server, for a while.",
        discussion: """
            Prints shell commands that set the repository's address and temporary credentials that can only read the folder: with \
            them the tenant restores straight from the storage, while this server is down. Whoever has them can read what is \
            stored, encrypted as it is: send them as you would send a password. Works where the storage makes temporary \
            credentials. Without a server on this machine the database is used.

            Example: (umask 077; hawser-provider tenant export-access acme main --read-only --for 24h > access.sh)
            Then, at the tenant: . ./access.sh; hawser restore latest --target /srv/restored
            """
    )

    @Argument(help: "The tenant's name or id.") var tenant: String
    @Argument(help: "The repository's name or id.") var repository: String
    @Option(help: ArgumentHelp("The folder of this subtenant.", valueName: "name")) var subtenant: String?
    @Flag(help: "There is no other access: says so in scripts.") var readOnly = false
    @Option(name: .customLong("for"), help: ArgumentHelp("15m to 14d; a storage may grant less.", valueName: "time"))
    var time = LifeTime(seconds: 86_400)
    @OptionGroup var options: ProviderOptions

    /// `90m`, `24h`, `7d`.
    struct LifeTime: ExpressibleByArgument {
        var seconds: Int

        init(seconds: Int) { self.seconds = seconds }

        init?(argument: String) {
            let units: [Character: Int] = ["m": 60, "h": 3600, "d": 86_400]
            guard let unit = argument.last.flatMap({ units[$0] }), let count = Int(argument.dropLast()),
                (1...100_000).contains(count)
            else { return nil }
            seconds = count * unit
        }

        var defaultValueDescription: String { "24h" }
    }

    func run() async throws {
        let answer = try await options.perform(
            TenantExportAccess(tenant: tenant, subtenant: subtenant, repository: repository, seconds: time.seconds)
        )
        if options.json { return try Output.show(json: answer) }
        Output.line(
            "# Reading access of \(displayText(tenant.utf8)), until \(answer.end.text) UTC. Keep it as a password."
        )
        var variables = [
            ("HAWSER_REPOSITORY", answer.address), ("AWS_REGION", answer.region),
            ("AWS_ACCESS_KEY_ID", answer.accessKeyID),
            ("AWS_SECRET_ACCESS_KEY", answer.secretAccessKey),
        ]
        if let token = answer.sessionToken { variables.append(("AWS_SESSION_TOKEN", token)) }
        for (name, value) in variables {
            Output.line("export \(name)='\(value.replacing("'", with: "'\\''"))'")
        }
        if !answer.usesPathStyle { Output.line("# Give -o s3.bucket-lookup=dns to each command.") }
        if let authority = answer.authority {
            Output.line("# Put this certificate into a file, and its path into AWS_CA_BUNDLE:")
            for line in authority.split(separator: "\n") { Output.line("# \(line)") }
        }
    }
}
