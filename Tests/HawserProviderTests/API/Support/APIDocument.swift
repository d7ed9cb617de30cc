import HTTPTypes
import HawserControl
import Yams

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// JSON or YAML of any shape.
enum APIValue: Decodable, Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([APIValue])
    case object([String: APIValue])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let object = try? value.decode([String: APIValue].self) {
            self = .object(object)
        } else if let array = try? value.decode([APIValue].self) {
            self = .array(array)
        } else if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .string(try value.decode(String.self))
        }
    }

    subscript(name: String) -> APIValue? { object?[name] }

    var object: [String: APIValue]? { if case .object(let object) = self { object } else { nil } }
    var array: [APIValue]? { if case .array(let array) = self { array } else { nil } }
    var string: String? { if case .string(let string) = self { string } else { nil } }
    var integer: Int? { if case .integer(let integer) = self { integer } else { nil } }

    var number: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }

    fileprivate func isOf(type: String) -> Bool {
        switch (self, type) {
        case (.object, "object"), (.array, "array"), (.string, "string"), (.bool, "boolean"): true
        case (.integer, "integer"), (.integer, "number"), (.number, "number"): true
        default: false
        }
    }
}

/// docs/openapi.yaml, and what in a message is not as it says.
struct APIDocument: Sendable {
    static let shared = Result { try APIDocument() }

    private struct Operation: Sendable {
        var request: APIValue?
        var responses: [String: APIValue]
    }

    let root: APIValue
    private var operations: [String: Operation] = [:]

    init() throws {
        let path = #filePath.replacing(
            "Tests/HawserProviderTests/API/Support/APIDocument.swift",
            with: "docs/openapi.yaml"
        )
        root = try YAMLDecoder().decode(APIValue.self, from: try Data(contentsOf: URL(filePath: path)))
        for path in (root["paths"]?.object ?? [:]).values {
            for operation in (path.object ?? [:]).values {
                guard let name = operation["operationId"]?.string else { continue }
                operations[name] = Operation(
                    request: operation["requestBody"].flatMap { Self.schema($0, "application/json") },
                    responses: operation["responses"]?.object ?? [:]
                )
            }
        }
    }

    private static func schema(_ body: APIValue, _ type: String) -> APIValue? { body["content"]?[type]?["schema"] }

    // MARK: Messages

    /// Of a request that the server has taken.
    func problems(request body: Data, of operation: ControlOperation) -> [String] {
        guard let schema = operations[operation.rawValue]?.request else {
            return body.isEmpty ? [] : ["\(operation) has no body"]
        }
        return problems(body, schema, "\(operation)")
    }

    /// - Parameter operation: `nil` for a path or method that there is not.
    func problems(status: Int, body: Data, of operation: ControlOperation?) -> [String] {
        guard let response = response(status, operation) else {
            return ["\(operation.map { "\($0)" } ?? "An unknown path") does not answer \(status)"]
        }
        guard let schema = Self.schema(response, "application/json") else {
            return body.isEmpty ? [] : ["An answer \(status) of \(operation.map { "\($0)" } ?? "") has a body"]
        }
        var problems = problems(body, schema, "\(operation.map { "\($0)" } ?? "") \(status)")
        if status >= 400, let problem = try? JSONDecoder().decode(ControlProblem.self, from: body),
            problem.statusCode != status
        {
            problems.append("\(problem.code) is not answered by \(status)")
        }
        return problems
    }

    func problems(line: Data, of operation: ControlOperation) -> [String] {
        guard let schema = response(200, operation).flatMap({ Self.schema($0, "application/x-ndjson") }) else {
            return ["\(operation) is no stream"]
        }
        return problems(line, schema, "\(operation)")
    }

    private func response(_ status: Int, _ operation: ControlOperation?) -> APIValue? {
        let problem = status >= 400 ? root["components"]?["responses"]?["Problem"] : nil
        guard let operation else { return problem }
        guard let response = operations[operation.rawValue]?.responses["\(status)"] else { return problem }
        return response
    }

    private func problems(_ body: Data, _ schema: APIValue, _ place: String) -> [String] {
        guard let value = try? JSONDecoder().decode(APIValue.self, from: body) else { return ["\(place): no JSON"] }
        return problems(value, schema, place)
    }

    // MARK: Values

    func schema(_ name: String) -> APIValue? { root["components"]?["schemas"]?[name] }

    /// A word of the schema that is not known here is a problem too: nothing is passed over.
    func problems(_ value: APIValue, _ schema: APIValue, _ place: String) -> [String] {
        (schema.object ?? [:]).sorted { $0.key < $1.key }.flatMap { word, rule in
            problems(value, schema, word, rule, place)
        }
    }

    private func problems(
        _ value: APIValue,
        _ schema: APIValue,
        _ word: String,
        _ rule: APIValue,
        _ place: String
    ) -> [String] {
        func expect(_ holds: Bool) -> [String] { holds ? [] : ["\(place): \(word)"] }
        switch word {
        case "description", "examples": return []
        case "$ref":
            let parts = (rule.string ?? "").dropFirst(2).split(separator: "/")
            guard let target = parts.reduce(root as APIValue?, { $0?[String($1)] }) else { return expect(false) }
            return problems(value, target, place)
        case "allOf": return (rule.array ?? []).flatMap { problems(value, $0, place) }
        case "type": return expect(value.isOf(type: rule.string ?? ""))
        case "enum": return expect(rule.array?.contains(value) == true)
        case "required": return expect((rule.array ?? []).allSatisfy { value[$0.string ?? ""] != nil })
        case "properties":
            return (value.object ?? [:]).sorted { $0.key < $1.key }.flatMap { name, field in
                guard let known = rule[name] else { return expect(schema["additionalProperties"] != nil) }
                return problems(field, known, "\(place).\(name)")
            }
        case "additionalProperties":
            let others = (value.object ?? [:]).filter { schema["properties"]?[$0.key] == nil }
            return others.flatMap { problems($0.value, rule, "\(place).\($0.key)") }
        case "items": return (value.array ?? []).flatMap { problems($0, rule, "\(place)[]") }
        case "minimum": return expect((value.number ?? 0) >= (rule.number ?? .infinity))
        case "maximum": return expect((value.number ?? 0) <= (rule.number ?? -.infinity))
        case "maxItems": return expect((value.array ?? []).count <= rule.integer ?? -1)
        case "maxLength": return expect((value.string ?? "").unicodeScalars.count <= rule.integer ?? -1)
        case "pattern":
            let pattern = try? Regex(rule.string ?? "(")
            return expect(pattern.map { (value.string ?? "").contains($0) } == true)
        case "contentEncoding":
            return expect(rule == .string("base64") && Data(base64Encoded: value.string ?? "-") != nil)
        default: return ["\(place): \(word) is not checked"]
        }
    }
}
