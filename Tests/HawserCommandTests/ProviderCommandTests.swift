import ArgumentParser
import Foundation
import Hawser
import HawserControl
import Testing

@testable import HawserCommand

@Suite("Commands for a provider")
struct ProviderCommandTests {
    private let profile = ProviderProfile(
        domain: "backup.example.com",
        gateways: [GatewayAddress("gw")].compactMap(\.self),
        authorities: [Data([1])],
        tenant: "Muster",
        device: .random(),
        key: .credential("key")
    )

    private func state(limit: Int?, expiresIn: Int? = nil) -> SessionState {
        SessionState(
            serverTime: 0,
            lease: LeaseState(isEnabled: true, expiresIn: expiresIn),
            repositories: [
                RepositoryState(
                    repository: .random(),
                    name: "main\u{1b}[31m",
                    quota: QuotaState(limit: limit, used: 3 << 20, reserved: 1 << 20, pending: 1 << 20),
                    mode: .direct,
                    credentialsGeneration: 1
                )
            ]
        )
    }

    @Test("show the quota as a table, with nothing that a terminal obeys")
    func quotaTable() {
        let lines = QuotaCommand.table(state(limit: 10 << 20))
        #expect(lines.count == 2)
        #expect(lines[1].contains("10.000 MiB") && lines[1].contains("3.000 MiB (1.000 MiB deleted)"))
        #expect(lines[1].contains("6.000 MiB") && lines[1].contains("direct"))
        #expect(!lines.joined().utf8.contains(0x1B))
        #expect(QuotaCommand.table(state(limit: nil))[1].contains("none"))
    }

    @Test("say when the contract ends, or that it is over")
    func notes() {
        #expect(QuotaCommand.notes(state(limit: nil)).isEmpty)
        #expect(QuotaCommand.notes(state(limit: nil, expiresIn: 86_400 * 3)) == ["The contract ends in 3 days."])
        #expect(QuotaCommand.notes(state(limit: nil, expiresIn: -1)) == ["The contract is over: restores only."])
        var disabled = state(limit: nil)
        disabled.lease.isEnabled = false
        disabled.maintenance = "back at six"
        #expect(QuotaCommand.notes(disabled).count == 2)
    }

    @Test("print JSON with all numbers")
    func json() throws {
        let json = QuotaCommand.json(state(limit: 10 << 20, expiresIn: 5), profile)
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(JSONValue.object(json).bytes)) as? [String: Any]
        )
        #expect(object["message_type"] as? String == "quota" && object["tenant"] as? String == "Muster")
        let repository = try #require((object["repositories"] as? [[String: Any]])?.first)
        #expect(repository["limit"] as? Int == 10 << 20 && repository["free"] as? Int == 6 << 20)
        #expect(repository["used"] as? Int == 3 << 20 && repository["pending"] as? Int == 1 << 20)
        #expect(object["lease_expires_in"] as? Int == 5)
    }

    @Test("list sessions")
    func sessions() {
        let item = SessionList.Item(
            session: .random(),
            device: "host",
            subtenant: "office",
            purpose: .backup,
            agent: "hawser 1",
            age: 3700,
            idle: 12
        )
        let lines = SessionsCommand.table([item])
        #expect(lines[1].contains("office / host") && lines[1].contains("1:01:40") && lines[1].contains("0:12"))
        #expect(SessionsCommand.json(item)["purpose"] == .string("backup"))
    }

    @Test(
        "exit with 14 for whom the provider turns away",
        arguments: [HawserError.Code.notSignedIn, .revoked, .tenantDisabled, .leaseOver, .accessDenied]
    )
    func exitCodes(code: HawserError.Code) {
        #expect(ExitStatus.code(for: HawserError(code, "")) == 14)
        #expect(ExitStatus.code(for: HawserError(.quotaExceeded, "")) == 13)
        #expect(ExitStatus.code(for: HawserError(.sessionOver, "")) == 1)
    }

    @Test("are told apart from each other")
    func parsing() throws {
        #expect(try RootCommand.parseAsRoot(["login", "hawser-join:x", "--name", "office"]) is LoginCommand)
        #expect(try RootCommand.parseAsRoot(["quota"]) is QuotaCommand)
        #expect(try RootCommand.parseAsRoot(["sessions", "office", "--json"]) is SessionsCommand)
        #expect(throws: (any Error).self) {
            try RootCommand.parseAsRoot(["login", "x", "--key-command", "a", "--key-credential", "b"])
        }
    }
}
