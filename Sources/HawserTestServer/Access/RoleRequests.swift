/// IAM, as far as roles need it: one policy for each, whatever its name.
struct RoleRequests: Sendable {
    static let version = "2010-05-08"

    let roles: RoleTable

    func run(_ form: [RequestTarget.Item], identity: Identity) throws(ServiceError) -> Answer {
        func value(_ name: String) throws(ServiceError) -> String {
            guard let value = form.first(where: { $0.name == name })?.value else {
                throw ServiceError(400, "ValidationError", "\(name) must be given")
            }
            return value
        }
        let action = try value("Action")
        let name = try value("RoleName")
        guard (1...64).contains(name.utf8.count) else {
            throw ServiceError(400, "ValidationError", "RoleName has 1 to 64 characters")
        }
        try identity.check(PolicyAction(name: "iam:\(action)", resource: RoleTable.arn(name)))
        switch action {
        case "CreateRole":
            try roles.add(name, trust: policy(value("AssumeRolePolicyDocument"), isTrust: true))
        case "UpdateAssumeRolePolicy":
            let trust = try policy(value("PolicyDocument"), isTrust: true)
            try roles.change(name) { $0.trust = trust }
        case "PutRolePolicy":
            let policy = try policy(value("PolicyDocument"), isTrust: false)
            try roles.change(name) { $0.policy = policy }
        case "DeleteRolePolicy":
            guard roles[name]?.policy != nil else { throw RoleTable.missing(name) }
            try roles.change(name) { $0.policy = nil }
        case "DeleteRole":
            try roles.remove(name)
        case "GetRole":
            guard roles[name] != nil else { throw RoleTable.missing(name) }
        default:
            throw ServiceError(400, "InvalidAction", "Could not find operation \(action) for version \(Self.version)")
        }
        return Answer(
            xml: XMLText.document(action + "Response", namespace: "https://iam.amazonaws.com/doc/2010-05-08/") { xml in
                if action == "CreateRole" || action == "GetRole" {
                    xml.element(action + "Result") { xml in
                        xml.element("Role") { xml in
                            xml.element("RoleName", name)
                            xml.element("Arn", RoleTable.arn(name))
                        }
                    }
                }
                xml.element("ResponseMetadata") { $0.element("RequestId", Accounts.randomText(16)) }
            }
        )
    }

    private func policy(_ json: String, isTrust: Bool) throws(ServiceError) -> AccessPolicy {
        do throws(AccessPolicy.Malformed) {
            return try AccessPolicy(json: json, isTrust: isTrust)
        } catch {
            throw ServiceError(400, "MalformedPolicyDocument", error.message)
        }
    }
}
