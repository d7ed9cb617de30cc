import HawserControl
import HawserFormat

/// Which way the data of a grant goes: the table of docs/control-protocol.md, 5. A pure function of what the provider has
/// set, so that a test can walk every row.
enum GrantDecision: Equatable, Sendable {
    /// What leaves the provider in direct mode.
    enum Access: String, CaseIterable, Sendable {
        /// Temporary credentials, fenced to the folder.
        case sts
        /// The storage's own key.
        case shared
        /// Presigned requests.
        case tickets
        /// Azure's shared access signatures.
        case sas
    }

    case direct(Access, reason: String)
    case gateway(server: String, reason: String)
    case refused(ControlProblem)

    struct Inputs: Sendable {
        var mode: ConnectionMode
        var kind: StorageKind
        var access: AccessPermissions
        /// Gateway servers of the repository that can be used now.
        var gatewayServers: [String]
        var fallback: Grant.Fallback
        var purpose: Purpose
        /// The way that just failed for the tenant.
        var avoid: ConnectionMode?
        var hasInsiderProtection: Bool
        /// The storage holds more than the quota allows.
        var isOver = false
        /// Whether other tenants have folders in the same bucket.
        var isBucketShared: Bool
        var acceptsSharedBucket: Bool
        /// What this server can issue.
        var issuers: Set<Access>
        /// Whether the credentials are for another program than the vault's, and which may be.
        var exports = false
        var credentialExport: CredentialExport?
    }

    init(_ inputs: Inputs) {
        guard inputs.purpose != .full || !inputs.hasInsiderProtection else {
            self = .refused(
                ControlProblem(
                    .accessDenied,
                    "Full access would get around the insider protection of this repository. Ask for backup or restore."
                )
            )
            return
        }
        switch Self.wanted(inputs) {
        case .gateway(let reason):
            self = Self.gateway(inputs, reason)
        case .direct(let access, let reason):
            if let problem = Self.objection(to: access, inputs) {
                self = .refused(problem)
            } else if inputs.avoid == .direct, inputs.fallback == .gateway {
                self = Self.gateway(inputs, "the direct way failed")
            } else if access == .sts, inputs.isOver, !inputs.purpose.isReadOnly, !inputs.gatewayServers.isEmpty,
                inputs.avoid != .gateway
            {
                // Credentials know no lengths: what a prune stores is counted byte by byte there.
                self = Self.gateway(inputs, "more is stored than the quota allows")
            } else if inputs.issuers.contains(access) {
                self = .direct(access, reason: reason)
            } else {
                self = Self.gateway(inputs, "this server can't issue \(access.rawValue) access")
            }
        }
    }

    private enum Wanted {
        case gateway(String)
        case direct(Access, String)
    }

    /// What the settings ask for.
    private static func wanted(_ inputs: Inputs) -> Wanted {
        switch (inputs.mode, inputs.kind, inputs.access) {
        case (.gateway, _, _): .gateway("the repository is set to gateway mode")
        case (.direct, .compatible, .provider): .gateway("no access permissions: credentials stay with the provider")
        // Of other kinds, `tickets` is a choice and everything else means the kind's own way.
        case (.direct, _, .tickets): .direct(.tickets, "presigned requests")
        case (.direct, .compatible, .sts): .direct(.sts, "temporary credentials of the folder")
        case (.direct, .compatible, .shared): .direct(.shared, "the storage's own key")
        case (.direct, .amazon, _): .direct(.sts, "temporary credentials of the folder")
        // Google has no AssumeRole.
        case (.direct, .google, _): .direct(.tickets, "presigned requests")
        case (.direct, .azure, _): .direct(.sas, "shared access signature of the folder")
        }
    }

    private static func objection(to access: Access, _ inputs: Inputs) -> ControlProblem? {
        if inputs.exports { return objection(toExport: access, inputs) }
        guard access == .shared, inputs.isBucketShared, !inputs.acceptsSharedBucket else { return nil }
        return ControlProblem(
            .accessDenied,
            "The storage's own key would open the data of other tenants in the same bucket. The provider has to give "
                + "this repository a bucket of its own, other access permissions, or --accept-shared-bucket."
        )
    }

    private static func objection(toExport access: Access, _ inputs: Inputs) -> ControlProblem? {
        switch access {
        case .sts:
            switch inputs.credentialExport {
            case .all: return nil
            case .read where inputs.purpose.isReadOnly: return nil
            case .read:
                return ControlProblem(
                    .accessDenied,
                    "The provider lets other programs read in this repository, and no more. Ask for restore."
                )
            case nil:
                return ControlProblem(
                    .accessDenied,
                    "The provider does not let credentials of this repository out to other programs. He would have to "
                        + "allow it (`repository update --credential-export read`)."
                )
            }
        case .shared:
            return ControlProblem(
                .accessDenied,
                "What this repository is reached with is the provider's own key of the storage: it is not handed to "
                    + "other programs. They need a repository with temporary credentials (access `sts`)."
            )
        case .tickets, .sas:
            return noExport("the provider signs each request by itself")
        }
    }

    private static func noExport(_ reason: String) -> ControlProblem {
        ControlProblem(
            .unsupported,
            "There are no credentials of this repository that other programs could use: \(reason). They need a repository "
                + "that is reached directly, with temporary credentials (access `sts`)."
        )
    }

    private static func gateway(_ inputs: Inputs, _ reason: String) -> GrantDecision {
        guard !inputs.exports else {
            return .refused(noExport("data goes through a gateway server (\(reason))"))
        }
        guard inputs.avoid != .gateway else {
            return .refused(
                ControlProblem(
                    .noWay,
                    "The gateway server was not reached, and there is no direct way: \(reason).",
                    retryAfter: 30
                )
            )
        }
        guard let server = inputs.gatewayServers.first else {
            return .refused(
                ControlProblem(
                    .noWay,
                    "Data of this repository has to go through a gateway server (\(reason)), and it has none. The "
                        + "provider has to name one (`repository update --gateway-server`) or allow direct access."
                )
            )
        }
        return .gateway(server: server, reason: reason)
    }
}
