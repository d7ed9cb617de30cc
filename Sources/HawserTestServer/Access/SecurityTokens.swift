import HawserFormat

/// STS: temporary keys for those who have permanent ones, or the token of another service.
struct SecurityTokens: Sendable {
    // AWS's limit of a session policy.
    private static let policyLimit = 2048

    let configuration: S3TestServer.Configuration
    let accounts: Accounts
    let roles: RoleTable

    /// - Parameter identity: who asks; `nil` where that is told by a token in the form.
    func run(_ form: [RequestTarget.Item], referer: String?, identity: Identity?) throws(ServiceError) -> Answer {
        func value(_ name: String) -> String? { form.first { $0.name == name }?.value }
        let action = value("Action") ?? ""
        var policies = identity?.policies ?? []
        var role: RoleTable.Session?
        let defaultDuration: Duration
        switch action {
        case "AssumeRole", "AssumeRoleWithWebIdentity":
            guard let arn = value("RoleArn"), let name = value("RoleSessionName"), (2...64).contains(name.utf8.count)
            else { throw Self.invalid("RoleArn and RoleSessionName must be given") }
            if action == "AssumeRole" {
                try identity?.check(PolicyAction(name: "sts:AssumeRole", resource: arn))
            } else {
                guard let token = value("WebIdentityToken"), configuration.webIdentityTokens.contains(token) else {
                    throw ServiceError(400, "InvalidIdentityToken", "The web identity token is not valid.")
                }
            }
            if let (session, made) = try roles.role(arn: arn) {
                let assuming = PolicyAction(
                    name: "sts:AssumeRole",
                    resource: arn,
                    context: referer.map { ["aws:referer": $0] } ?? [:]
                )
                guard made.trust.allows(assuming) else { throw .accessDenied() }
                (role, policies) = (session, [])
            } else if let rights = try policy(ofRole: arn) {
                policies = [rights]
            }
            defaultDuration = .seconds(3600)
        case "GetSessionToken":
            guard identity?.isSession == false else {
                throw .accessDenied("Cannot call GetSessionToken with session credentials")
            }
            defaultDuration = configuration.maximumSessionDuration
        default:
            throw ServiceError(400, "InvalidAction", "Could not find operation \(action) for version 2011-06-15")
        }
        if let policy = value("Policy") { policies.append(try sessionPolicy(policy)) }
        let session = Account(
            accessKeyID: "ASIA" + Accounts.randomText(16),
            secretAccessKey: Accounts.randomText(40),
            // With characters that must be escaped in a query.
            token: "IQoJ/" + Accounts.randomText(200) + "+/==",
            expiration: configuration.now().advanced(by: try duration(value("DurationSeconds"), defaultDuration)),
            policies: policies,
            role: role
        )
        accounts.begin(session)
        return Answer(xml: document(action, session, role: value("RoleArn"), name: value("RoleSessionName")))
    }

    private func policy(ofRole arn: String) throws(ServiceError) -> AccessPolicy? {
        guard let roles = configuration.roles else { return nil }
        guard let role = roles.first(where: { $0.arn == arn }) else {
            throw ServiceError(404, "NoSuchEntity", "The role \(arn) cannot be found.")
        }
        return role.policy
    }

    private func sessionPolicy(_ json: String) throws(ServiceError) -> AccessPolicy {
        guard json.utf8.count <= Self.policyLimit else {
            throw ServiceError(400, "PackedPolicyTooLarge", "The session policy has more than 2048 characters.")
        }
        do throws(AccessPolicy.Malformed) {
            return try AccessPolicy(json: json)
        } catch {
            throw ServiceError(400, "MalformedPolicyDocument", error.message)
        }
    }

    private func duration(_ text: String?, _ standard: Duration) throws(ServiceError) -> Duration {
        let (minimum, maximum) = (configuration.minimumSessionDuration, configuration.maximumSessionDuration)
        guard let text else { return min(max(standard, minimum), maximum) }
        guard let seconds = Int32(text), minimum <= maximum,
            (minimum...maximum).contains(.seconds(Int64(seconds)))
        else {
            throw Self.invalid(
                "DurationSeconds must be between \(minimum.components.seconds) and \(maximum.components.seconds)"
            )
        }
        return min(.seconds(Int64(seconds)), configuration.grantedSessionDuration ?? maximum)
    }

    private static func invalid(_ message: String) -> ServiceError {
        ServiceError(400, "ValidationError", message)
    }

    private func document(_ action: String, _ session: Account, role: String?, name: String?) -> String {
        XMLText.document(action + "Response", namespace: XMLText.stsNamespace) { xml in
            xml.element(action + "Result") { xml in
                xml.element("Credentials") { xml in
                    xml.element("AccessKeyId", session.accessKeyID)
                    xml.element("SecretAccessKey", session.secretAccessKey)
                    xml.element("SessionToken", session.token ?? "")
                    xml.element("Expiration", (session.expiration ?? configuration.now()).extended)
                }
                if let role, let name {
                    xml.element("AssumedRoleUser") { xml in
                        xml.element("AssumedRoleId", "AROA:" + name)
                        xml.element("Arn", role + "/" + name)
                    }
                }
            }
            xml.element("ResponseMetadata") { $0.element("RequestId", Accounts.randomText(16)) }
        }
    }
}
