import ArgumentParser
import HawserControl
import HawserFormat
import HawserProvider

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make the data folder, the provider key and the configuration database.",
        discussion: """
            The key seals what is secret in the database: keep a copy of its file, apart from the backups of the
            database.

            With a domain it makes an authority and the server's certificate too: the server will be control.DOMAIN,
            for good, since tenants know that name. It need not be in the DNS. Without one they are made when
            `serve --domain` first runs, unless that is told of certificates that somebody else makes
            (`serve --domain DOMAIN --certificate FILE …`). Beside such ones `init --domain` makes the authority later
            too, while the server is stopped: gateway servers need it.

            Example: hawser-provider init --domain backup.example.org --key-file /etc/hawser/provider.key
            """
    )

    @Option(help: ArgumentHelp("The provider's domain.", valueName: "domain"))
    var domain: String?
    @OptionGroup var options: ProviderOptions

    struct Answer: Codable {
        var database: String
        var keyFile: String?
    }

    func validate() throws {
        guard domain.map(DomainName.isProviders) ?? true else {
            throw ValidationError("--domain is a name as the DNS has them, such as backup.example.org.")
        }
    }

    func run() async throws {
        let folder = options.folder
        let isNew = domain == nil || !folder.hasDatabase
        let database = try await isNew ? folder.initialize() : folder.open()
        do {
            if !isNew, try await database.certificateDomain() != nil {
                throw HawserError(.conflict, "There are certificates already.", place: folder.database)
            }
            if let domain { try await database.makeCertificates(domain: domain) }
            try await database.close()
        } catch {
            try? await database.close()
            throw error
        }
        var keyFile: String? = folder.keyFile
        if case .command = folder.keySource { keyFile = nil }
        var text = isNew ? "Made \(folder.database)." : "Made an authority in \(folder.database)."
        if isNew, let keyFile {
            text += "\nThe provider key is in \(keyFile): keep a copy of it apart from the database's backups."
        }
        try Output.show(Answer(database: folder.database, keyFile: keyFile), options, text)
    }
}
