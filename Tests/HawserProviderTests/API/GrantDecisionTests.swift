import HawserControl
import HawserFormat
import Testing

@testable import HawserProvider

/// Every row of the table of docs/control-protocol.md, 5.
@Suite struct GrantDecisionTests {
    private func inputs(
        _ mode: ConnectionMode,
        _ kind: StorageKind,
        _ access: AccessPermissions = .provider
    ) -> GrantDecision.Inputs {
        GrantDecision.Inputs(
            mode: mode,
            kind: kind,
            access: access,
            gatewayServers: ["gateway1"],
            fallback: .gateway,
            purpose: .backup,
            avoid: nil,
            hasInsiderProtection: false,
            isBucketShared: false,
            acceptsSharedBucket: false,
            issuers: Set(GrantDecision.Access.allCases)
        )
    }

    private func access(_ inputs: GrantDecision.Inputs) -> GrantDecision.Access? {
        if case .direct(let access, _) = GrantDecision(inputs) { access } else { nil }
    }

    private func server(_ inputs: GrantDecision.Inputs) -> String? {
        if case .gateway(let server, _) = GrantDecision(inputs) { server } else { nil }
    }

    private func refusal(_ inputs: GrantDecision.Inputs) -> String? {
        if case .refused(let problem) = GrantDecision(inputs) { problem.code } else { nil }
    }

    @Test(arguments: StorageKind.allCases, AccessPermissions.allCases)
    func gatewayModeTakesTheGatewayWhateverTheStorage(_ kind: StorageKind, _ access: AccessPermissions) {
        #expect(server(inputs(.gateway, kind, access)) == "gateway1")
    }

    @Test func directCompatibleGoesByTheAccessPermissions() {
        #expect(server(inputs(.direct, .compatible, .provider)) == "gateway1")
        #expect(access(inputs(.direct, .compatible, .sts)) == .sts)
        #expect(access(inputs(.direct, .compatible, .shared)) == .shared)
        #expect(access(inputs(.direct, .compatible, .tickets)) == .tickets)
    }

    @Test(arguments: [StorageKind.amazon, .google, .azure])
    func ticketsAreAChoiceForEveryKind(_ kind: StorageKind) {
        #expect(access(inputs(.direct, kind, .tickets)) == .tickets)
    }

    @Test(arguments: [AccessPermissions.provider, .sts, .shared])
    func otherKindsGoTheirOwnWay(_ permissions: AccessPermissions) {
        #expect(access(inputs(.direct, .amazon, permissions)) == .sts)
        #expect(access(inputs(.direct, .google, permissions)) == .tickets)
        #expect(access(inputs(.direct, .azure, permissions)) == .sas)
    }

    @Test func aSharedBucketNeedsTheProvidersWord() {
        var shared = inputs(.direct, .compatible, .shared)
        shared.isBucketShared = true
        #expect(refusal(shared) == "access_denied")
        shared.acceptsSharedBucket = true
        #expect(access(shared) == .shared)
    }

    @Test func credentialsOfATenantWhoIsOverGoByTheGateway() {
        var prune = inputs(.direct, .compatible, .sts)
        prune.isOver = true
        prune.purpose = .prune
        #expect(server(prune) == "gateway1")
        // Reading costs nothing, tickets know their lengths, and without a gateway nobody could prune.
        prune.purpose = .restore
        #expect(access(prune) == .sts)
        prune.purpose = .prune
        prune.access = .tickets
        #expect(access(prune) == .tickets)
        prune.access = .sts
        prune.gatewayServers = []
        #expect(access(prune) == .sts)
    }

    @Test func fullAccessIsRefusedWithInsiderProtection() {
        var full = inputs(.direct, .compatible, .sts)
        full.purpose = .full
        #expect(access(full) == .sts)
        full.hasInsiderProtection = true
        #expect(refusal(full) == "access_denied")
    }

    @Test func withoutAnIssuerTheGatewayIsTaken() {
        var none = inputs(.direct, .compatible, .sts)
        none.issuers = []
        guard case .gateway(_, let reason) = GrantDecision(none) else {
            Issue.record("no gateway")
            return
        }
        #expect(reason.contains("sts"))
        none.gatewayServers = []
        #expect(refusal(none) == "no_way")
    }

    @Test func whatGoesToOtherProgramsIsForTheProviderToSay() {
        var export = inputs(.direct, .compatible, .sts)
        export.exports = true
        let rows: [(CredentialExport?, Purpose, isGranted: Bool)] = [
            (nil, .restore, false), (nil, .full, false), (.read, .restore, true), (.read, .check, true),
            (.read, .backup, false), (.read, .full, false), (.all, .restore, true), (.all, .full, true),
        ]
        for (allowed, purpose, isGranted) in rows {
            (export.credentialExport, export.purpose) = (allowed, purpose)
            #expect(access(export) == (isGranted ? .sts : nil), "\(allowed?.rawValue ?? "none") \(purpose)")
            #expect(refusal(export) == (isGranted ? nil : "access_denied"))
        }
        export.hasInsiderProtection = true
        #expect(refusal(export) == "access_denied")
    }

    @Test(arguments: ConnectionMode.allCases, StorageKind.allCases)
    func onlyTemporaryCredentialsAreExported(_ mode: ConnectionMode, _ kind: StorageKind) {
        for permissions in AccessPermissions.allCases {
            var export = inputs(mode, kind, permissions)
            let own = access(export)
            (export.exports, export.credentialExport) = (true, .all)
            #expect(access(export) == (own == .sts ? .sts : nil))
            // The provider's own key is refused, whatever he has accepted; elsewhere there is nothing.
            export.acceptsSharedBucket = true
            #expect(refusal(export) == (own == .sts ? nil : own == .shared ? "access_denied" : "unsupported"))
        }
    }

    @Test func anExportTakesNoOtherWay() {
        var export = inputs(.direct, .compatible, .sts)
        (export.exports, export.credentialExport) = (true, .all)
        export.avoid = .direct
        #expect(refusal(export) == "unsupported")
        export.avoid = nil
        export.issuers = []
        #expect(refusal(export) == "unsupported")
        export.gatewayServers = []
        #expect(refusal(export) == "unsupported")
    }

    @Test func aTenantChangesToTheGatewayWhereTheProviderLetsIt() {
        var failed = inputs(.direct, .compatible, .sts)
        failed.avoid = .direct
        #expect(server(failed) == "gateway1")
        failed.fallback = .never
        #expect(access(failed) == .sts)
        var gateway = inputs(.gateway, .compatible)
        gateway.avoid = .gateway
        #expect(refusal(gateway) == "no_way")
    }
}
