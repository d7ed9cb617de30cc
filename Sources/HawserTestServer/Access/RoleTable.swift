import Synchronization

/// Roles that were made by requests. What their sessions may do follows their policies, and ends with them.
final class RoleTable: Sendable {
    struct Role: Sendable {
        /// Another for each role that was made.
        let id: String
        var trust: AccessPolicy
        var policy: AccessPolicy?
    }

    struct Session: Hashable, Sendable {
        var name: String
        var id: String
    }

    private let roles = Mutex<[String: Role]>([:])

    // Of an account of its own: in others AssumeRole takes any role, unless the configuration names them.
    static func arn(_ name: String) -> String { "arn:aws:iam::000000000000:role/\(name)" }

    subscript(name: String) -> Role? { roles.withLock { $0[name] } }

    /// Who assumes the role with this ARN; `nil` for an ARN that is none of a role made by requests.
    func role(arn: String) throws(ServiceError) -> (session: Session, role: Role)? {
        guard let name = arn.split(separator: "/").last.map(String.init), arn == Self.arn(name) else { return nil }
        guard let role = self[name] else { throw Self.missing(name) }
        return (Session(name: name, id: role.id), role)
    }

    /// `nil`: the role is gone, and with it all that the session could do.
    func policy(of session: Session) -> AccessPolicy? {
        guard let role = self[session.name], role.id == session.id else { return nil }
        return role.policy
    }

    func add(_ name: String, trust: AccessPolicy) throws(ServiceError) {
        let isAdded = roles.withLock { roles in
            guard roles[name] == nil else { return false }
            roles[name] = Role(id: "AROA" + Accounts.randomText(17), trust: trust)
            return true
        }
        guard isAdded else {
            throw ServiceError(409, "EntityAlreadyExists", "Role with name \(name) already exists.")
        }
    }

    func change(_ name: String, _ body: (inout Role) -> Void) throws(ServiceError) {
        let isFound = roles.withLock { roles in
            guard var role = roles[name] else { return false }
            body(&role)
            roles[name] = role
            return true
        }
        guard isFound else { throw Self.missing(name) }
    }

    func remove(_ name: String) throws(ServiceError) {
        enum Outcome { case removed, missing, inUse }
        let outcome: Outcome = roles.withLock { roles in
            guard let role = roles[name] else { return .missing }
            guard role.policy == nil else { return .inUse }
            roles[name] = nil
            return .removed
        }
        switch outcome {
        case .removed: return
        case .missing: throw Self.missing(name)
        case .inUse: throw ServiceError(409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
        }
    }

    static func missing(_ name: String) -> ServiceError {
        ServiceError(404, "NoSuchEntity", "The role with name \(name) cannot be found.")
    }
}
