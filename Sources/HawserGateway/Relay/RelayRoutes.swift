import HawserFormat

/// Which names the relay knows and where their connections go. ``init(yaml:)`` reads them from a file.
public struct RelayRoutes: Sendable, Equatable {
    public struct Route: Sendable, Equatable {
        public var names: [ServerNamePattern]
        /// One or more; the least loaded healthy one is taken.
        public var backends: [BackendAddress]
        /// Whether backends get a PROXY protocol header, to learn the client's address.
        public var sendsProxyHeader: Bool

        public init(names: [ServerNamePattern], backends: [BackendAddress], sendsProxyHeader: Bool = true) {
            self.names = names
            self.backends = backends
            self.sendsProxyHeader = sendsProxyHeader
        }
    }

    public let routes: [Route]
    private let exact: [ServerName: Int]
    /// By what stands behind `*.`.
    private let wildcards: [String: Int]

    /// - Throws: `HawserError` with `invalidArgument` when there is no route, when one has no name or no backend, or when a
    ///   name stands in two.
    public init(_ routes: [Route]) throws {
        guard !routes.isEmpty else { throw HawserError(.invalidArgument, "There must be a route.") }
        var exact: [ServerName: Int] = [:]
        var wildcards: [String: Int] = [:]
        for (index, route) in routes.enumerated() {
            guard !route.names.isEmpty, !route.backends.isEmpty else {
                throw HawserError(.invalidArgument, "Route \(index + 1) needs at least one name and one backend.")
            }
            for name in route.names {
                let old =
                    name.isWildcard
                    ? wildcards.updateValue(index, forKey: name.name.description)
                    : exact.updateValue(index, forKey: name.name)
                guard old == nil else {
                    throw HawserError(
                        .invalidArgument,
                        "The name \(name) stands in the routes twice; keep one of them."
                    )
                }
            }
        }
        self.routes = routes
        self.exact = exact
        self.wildcards = wildcards
    }

    /// The exact name goes before `*.`.
    func route(for name: ServerName) -> Route? {
        let index = exact[name] ?? name.parent.flatMap { wildcards[$0] }
        return index.map { routes[$0] }
    }

    /// Each once.
    public var backends: Set<BackendAddress> { Set(routes.flatMap(\.backends)) }
}
