import ArgumentParser
import Hawser
import HawserControl

struct CredentialsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credentials",
        abstract: "Hand temporary credentials of a provider's storage to another program.",
        discussion: """
            For rclone, restic or the AWS tools, which then reach your folder at the provider, and nothing else, for an hour \
            or less. The provider has to allow it, and writes it down. Where the folder is comes on the standard error, \
            unless --quiet is given, or with --json.

            Example, in ~/.aws/config:

              [profile office]
              credential_process = hawser credentials -r provider:office --quiet
            """
    )

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case awsProcess = "aws-process"
        case env
    }

    /// Other purposes are for hawser itself.
    enum ExportPurpose: String, CaseIterable, ExpressibleByArgument {
        case restore, backup, full

        var purpose: Purpose {
            switch self {
            case .restore: .restore
            case .backup: .backup
            case .full: .full
            }
        }

        var rights: String {
            switch self {
            case .restore: "read"
            case .backup: "read, create and replace"
            case .full: "read, create, replace and delete"
            }
        }
    }

    @Option(
        help: ArgumentHelp(
            "aws-process: JSON, for credential_process; env: lines for a shell. (default: aws-process)",
            valueName: "format"
        )
    )
    var format: Format?

    @Option(help: ArgumentHelp("What they allow: restore reads, backup also creates, full also deletes."))
    var purpose = ExportPurpose.restore

    @OptionGroup(title: "Repository") var options: RepositoryOptions

    func validate() throws {
        if format != nil, options.output.json { throw ValidationError("--format and --json contradict each other.") }
    }

    func run() async throws {
        options.output.apply()
        guard let provider = try options.location().provider else {
            throw ValidationError(
                "These credentials come from a provider: give -r provider:NAME. Those of other storage you have already."
            )
        }
        if Console.shared.isTerminal {
            throw ValidationError(
                "Standard output is a terminal, which would show a secret: send it to another program."
            )
        }
        if !options.output.json { Console.shared.giveOutputAway() }
        let access = try await ProviderOptions.access(provider.profile)
        let exported = try await exportCredentials(
            access.profile,
            key: access.key,
            repository: provider.repository,
            purpose: purpose.purpose,
            subtenant: provider.subtenant,
            agent: HawserVersion.text,
            onProfileChange: access.keep
        )
        for line in notes(exported) { Console.shared.note(line) }
        Console.shared.flush()
        // Not through the console, whose buffer would keep it.
        try CredentialText.withBytes(of: exported, as: form) { try OutputFile.standard.write($0) }
    }

    private var form: CredentialText.Form {
        switch format {
        case _ where options.output.json: .json
        case .env: .env
        case .awsProcess, nil: .awsProcess
        }
    }

    func notes(_ exported: ExportedCredentials) -> [String] {
        let storage = exported.storage
        var rows = [
            ["Endpoint", storage.endpoint], ["Region", storage.region],
            ["Bucket", storage.bucket + (storage.usesPathStyle ? " (path-style)" : "")], ["Folder", exported.folder],
            ["Allowed", purpose.rights],
        ]
        if let end = exported.credentials.expiration { rows.append(["Until", TimeText.local(end)]) }
        if storage.authority != nil { rows.append(["Certificate", "of a private authority, which --json shows"]) }
        return Columns.align(rows.map { $0.map { displayText($0.utf8) } })
    }
}
