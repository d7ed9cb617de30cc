import ArgumentParser
import Hawser
import HawserControl

struct QuotaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "Show what a backup provider lets you store, and what you have stored.",
        discussion: """
            Used is what the storage bills: with metadata, padding, and what is deleted but still kept. Reserved is set aside for \
            backups that run.

            Example: hawser quota office
            """
    )

    @OptionGroup var provider: ProviderOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        output.apply()
        // The purpose that is open even to those who have nothing left.
        let (state, profile) = try await provider.withConnection(.restore) { connection, profile in
            (try await connection.waitUntilConnected().state, profile)
        }
        guard let state else { throw HawserError(.unavailable, "The provider's server did not say what there is.") }
        Console.shared.json(Self.json(state, profile))
        for line in Self.table(state) { Console.shared.result(line) }
        for line in Self.notes(state) { Console.shared.result(line) }
    }

    static func table(_ state: SessionState) -> [String] {
        var rows = [["Repository", "Limit", "Used", "Reserved", "Free", "Mode"]]
        for repository in state.repositories {
            let quota = repository.quota
            rows.append([
                displayText(repository.name.utf8),
                quota.limit.map { ByteSize.text($0) } ?? "none",
                ByteSize.text(quota.used) + (quota.pending > 0 ? " (\(ByteSize.text(quota.pending)) deleted)" : ""),
                ByteSize.text(quota.reserved),
                quota.free.map { ByteSize.text($0) } ?? "",
                repository.mode.rawValue,
            ])
        }
        return Columns.align(rows)
    }

    static func notes(_ state: SessionState) -> [String] {
        var lines: [String] = []
        if !state.lease.isEnabled { lines.append("The provider has disabled this account.") }
        switch state.lease.expiresIn {
        case let seconds? where seconds < 0: lines.append("The contract is over: restores only.")
        case let seconds?: lines.append("The contract ends in \(counted(seconds / 86_400, "day")).")
        case nil: break
        }
        if let bandwidth = state.bandwidth { lines.append("All machines together: \(ByteSize.text(bandwidth))/s.") }
        if let maintenance = state.maintenance { lines.append("Maintenance: " + displayText(maintenance.utf8)) }
        return lines
    }

    static func json(_ state: SessionState, _ profile: ProviderProfile) -> JSONObject {
        var object = JSONObject(type: "quota")
        object["domain"] = .string(profile.domain)
        object["tenant"] = .string(profile.tenant)
        object["subtenant"] = profile.subtenant.map { .string($0) }
        object["enabled"] = .bool(state.lease.isEnabled)
        object["lease_expires_in"] = state.lease.expiresIn.map { .integer($0) }
        object["bandwidth"] = state.bandwidth.map { .integer($0) }
        object["maintenance"] = state.maintenance.map { .string($0) }
        object["repositories"] = .array(
            state.repositories.map { repository in
                var item = JSONObject()
                item["id"] = .string(repository.repository.text)
                item["name"] = .string(repository.name)
                item["mode"] = .string(repository.mode.rawValue)
                item["limit"] = repository.quota.limit.map { .integer($0) }
                item["used"] = .integer(repository.quota.used)
                item["reserved"] = .integer(repository.quota.reserved)
                item["pending"] = .integer(repository.quota.pending)
                item["free"] = repository.quota.free.map { .integer($0) }
                return .object(item)
            }
        )
        return object
    }
}

struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List what runs against a backup provider: all of your machines.",
        discussion: "Example: hawser sessions office"
    )

    @OptionGroup var provider: ProviderOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        output.apply()
        let (sessions, own) = try await provider.withConnection(.restore) { connection, _ in
            let own = try await connection.waitUntilConnected().session
            return (try await connection.sessions(), own)
        }
        // This command's own says nothing.
        let others = sessions.filter { $0.session != own }
        Console.shared.json(array: others.map { .object(Self.json($0)) })
        for line in Self.table(others) { Console.shared.result(line) }
    }

    static func table(_ sessions: [SessionList.Item]) -> [String] {
        var rows = [["ID", "Device", "Purpose", "Program", "Open", "Idle"]]
        for session in sessions {
            let device = [session.subtenant, session.device].compactMap(\.self).joined(separator: " / ")
            rows.append([
                String(session.session.text.prefix(8)),
                displayText(device.utf8),
                session.purpose.rawValue,
                displayText(session.agent.utf8),
                Duration.seconds(session.age).clockText,
                Duration.seconds(session.idle).clockText,
            ])
        }
        return Columns.align(rows)
    }

    static func json(_ session: SessionList.Item) -> JSONObject {
        var object = JSONObject()
        object["id"] = .string(session.session.text)
        object["device"] = .string(session.device)
        object["subtenant"] = session.subtenant.map { .string($0) }
        object["purpose"] = .string(session.purpose.rawValue)
        object["agent"] = .string(session.agent)
        object["age"] = .integer(session.age)
        object["idle"] = .integer(session.idle)
        return object
    }
}
