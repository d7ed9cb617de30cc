#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Rules of who may do what, in the JSON of IAM: statements with `Effect`, `Action` or `NotAction`, `Resource` or
/// `NotResource`, and `Condition`. (AWS, "IAM JSON policy elements reference"; `Principal` is read over.)
public struct AccessPolicy: Hashable, Sendable {
    /// A document that is none.
    public struct Malformed: Error, Hashable, Sendable {
        public let message: String
    }

    struct Statement: Hashable, Sendable {
        var allows: Bool
        var actions: [String]
        var hasNotAction: Bool
        var resources: [String]
        var hasNotResource: Bool
        var conditions: [PolicyCondition]
    }

    let statements: [Statement]

    /// - Throws: `Malformed` when it is no policy, or has operators of conditions that are not known here.
    public init(json: String) throws(Malformed) {
        try self.init(json: json, isTrust: false)
    }

    /// - Parameter isTrust: it says who may assume a role, and no statement has a resource.
    init(json: String, isTrust: Bool) throws(Malformed) {
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: Data(json.utf8))
        } catch {
            throw Malformed(message: "This policy contains invalid Json")
        }
        var statements: [Statement] = []
        for var statement in document.Statement.values {
            if isTrust { statement.Resource = OneOrMany(values: ["*"]) }
            statements.append(try Statement(statement))
        }
        self.statements = statements
    }

    /// A denial outweighs all, and what no statement allows is refused.
    func allows(_ action: PolicyAction) -> Bool {
        let matching = statements.filter { $0.matches(action) }
        return !matching.isEmpty && matching.allSatisfy(\.allows)
    }

    // The names are those of the documents.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    fileprivate struct Document: Decodable {
        var Statement: OneOrMany<Body>
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    fileprivate struct Body: Decodable {
        var Effect: String
        var Action: OneOrMany<String>?
        var NotAction: OneOrMany<String>?
        var Resource: OneOrMany<String>?
        var NotResource: OneOrMany<String>?
        var Condition: [String: [String: OneOrMany<Value>]]?
    }

    /// A text, number or truth value, as text.
    fileprivate struct Value: Decodable {
        var text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int.self) {
                text = String(number)
            } else if let flag = try? container.decode(Bool.self) {
                text = String(flag)
            } else {
                text = try container.decode(String.self)
            }
        }
    }

    fileprivate struct OneOrMany<Element: Decodable>: Decodable {
        var values: [Element]

        init(values: [Element]) { self.values = values }

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            do {
                values = try container.decode([Element].self)
            } catch {
                values = [try container.decode(Element.self)]
            }
        }
    }
}

/// What somebody wants to do.
struct PolicyAction: Sendable {
    /// As `s3:GetObject`.
    var name: String
    /// As `arn:aws:s3:::bucket/key`.
    var resource: String
    /// The values of condition keys, by their names in lower case.
    var context: [String: String] = [:]
}

extension AccessPolicy.Statement {
    fileprivate init(_ body: AccessPolicy.Body) throws(AccessPolicy.Malformed) {
        guard body.Effect == "Allow" || body.Effect == "Deny" else {
            throw AccessPolicy.Malformed(message: "Effect must be Allow or Deny")
        }
        guard (body.Action == nil) != (body.NotAction == nil), (body.Resource == nil) != (body.NotResource == nil)
        else {
            throw AccessPolicy.Malformed(message: "A statement must have an action and a resource")
        }
        allows = body.Effect == "Allow"
        actions = (body.Action ?? body.NotAction)?.values ?? []
        hasNotAction = body.NotAction != nil
        resources = (body.Resource ?? body.NotResource)?.values ?? []
        hasNotResource = body.NotResource != nil
        guard resources.allSatisfy({ $0 == "*" || $0.hasPrefix("arn:") }) else {
            throw AccessPolicy.Malformed(message: "Resource must be an ARN or \"*\"")
        }
        var conditions: [PolicyCondition] = []
        for (name, keys) in body.Condition ?? [:] {
            for (key, values) in keys {
                conditions.append(try PolicyCondition(name, key: key, values: values.values.map(\.text)))
            }
        }
        self.conditions = conditions
    }

    func matches(_ action: PolicyAction) -> Bool {
        // IAM's names of actions have no case; ARNs do.
        let hasAction = actions.contains { Wildcard.matches(action.name.lowercased(), $0.lowercased()) }
        let hasResource = resources.contains { Wildcard.matches(action.resource, $0) }
        return hasAction != hasNotAction && hasResource != hasNotResource
            && conditions.allSatisfy { $0.holds(action.context) }
    }
}
