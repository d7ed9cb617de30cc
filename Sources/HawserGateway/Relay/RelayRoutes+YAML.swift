import HawserFormat
import Yams

extension RelayRoutes {
    /// A megabyte is some 10,000 routes.
    static let maximumFileSize = 1 << 20

    /// Reads a routes file (docs/provider/cloud-gateway.md). Strict: a key that is not known is an error, since a mistyped
    /// one would be ignored otherwise.
    ///
    /// - Throws: `HawserError` with `invalidArgument`; the message says line, field and what is expected there.
    public init(yaml: String) throws {
        guard yaml.utf8.count <= RelayRoutes.maximumFileSize else {
            throw HawserError(.invalidArgument, "A routes file has at most \(RelayRoutes.maximumFileSize) bytes.")
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw HawserError(.invalidArgument, "This is not YAML: \(RelayRoutes.summary(of: error))")
        }
        guard let root else { throw HawserError(.invalidArgument, "The routes file is empty; it must have `routes:`.") }
        let file = try Fields(root, "the file", known: ["routes"])
        var seen: [ServerNamePattern: Int] = [:]
        let routes = try file.list("routes").map { node in
            let fields = try Fields(node, "a route", known: ["names", "backends", "proxy-protocol"])
            let names = try fields.list("names").map { node in
                let pattern = try text(
                    node,
                    "names",
                    "a host name, or `\"*.\"` and a host name",
                    ServerNamePattern.init
                )
                let line = node.mark?.line ?? 0
                if let first = seen.updateValue(line, forKey: pattern) {
                    throw HawserError(
                        .invalidArgument,
                        "line \(line), names: \(pattern) stands in line \(first) already; keep one."
                    )
                }
                return pattern
            }
            let backends = try fields.list("backends").map { node in
                try text(node, "backends", "`HOST:PORT`, of IPv6 `\"[ADDRESS]:PORT\"`", BackendAddress.init)
            }
            guard Set(backends).count == backends.count else {
                throw problem(node, "backends", "the same backend stands there twice; keep one.")
            }
            return Route(
                names: names,
                backends: backends,
                sendsProxyHeader: try fields.flag("proxy-protocol") ?? true
            )
        }
        try self.init(routes)
    }

    /// The first line of the parser's message; the others show the file's text.
    private static func summary(of error: any Error) -> String {
        let line = "\(error)".split(separator: "\n").first.map(String.init) ?? "\(error)"
        guard case YamlError.duplicatedKeysInMapping(let keys, let context) = error else { return line }
        return "line \(context.mark.line): \(keys.sorted().joined(separator: ", ")) stands there twice."
    }
}

private func problem(_ node: Node, _ field: String, _ text: String) -> HawserError {
    HawserError(.invalidArgument, "line \(node.mark?.line ?? 0), \(field): \(text)")
}

private func text<Value>(
    _ node: Node,
    _ field: String,
    _ expected: String,
    _ make: (String) -> Value?
) throws -> Value {
    guard case .scalar(let scalar) = node else { throw problem(node, field, "expected \(expected).") }
    guard let value = make(scalar.string) else {
        let shown = displayText(scalar.string.prefix(64).utf8)
        throw problem(node, field, "expected \(expected), not `\(shown)`.")
    }
    return value
}

/// The fields of a mapping, each known and there once.
private struct Fields {
    private let node: Node
    private let title: String
    private var values: [String: Node] = [:]

    init(_ node: Node, _ title: String, known: [String]) throws {
        self.node = node
        self.title = title
        guard case .mapping(let mapping) = node else {
            throw problem(node, title, "expected fields: \(known.joined(separator: ", ")).")
        }
        for (key, value) in mapping {
            guard case .scalar(let name) = key, known.contains(name.string) else {
                let shown = displayText((key.scalar?.string ?? "a list or mapping").prefix(64).utf8)
                throw problem(key, title, "unknown field `\(shown)`; known are \(known.joined(separator: ", ")).")
            }
            values[name.string] = value
        }
    }

    func list(_ field: String) throws -> [Node] {
        guard let value = values[field] else { throw problem(node, field, "is missing in \(title).") }
        guard case .sequence(let nodes) = value, !nodes.isEmpty else {
            throw problem(value, field, "expected a list of at least one.")
        }
        return Array(nodes)
    }

    func flag(_ field: String) throws -> Bool? {
        guard let value = values[field] else { return nil }
        // YAML's `yes`, `on` and `"true"` in quotes are refused: one spelling, no surprises.
        guard case .scalar(let scalar) = value, scalar.style == .plain, let flag = Bool(scalar.string) else {
            throw problem(value, field, "expected `true` or `false`.")
        }
        return flag
    }
}
