import HawserControl
import HawserFormat
import Logging
import NIOCore
import Testing

@testable import HawserGateway

struct RouteTests {
    @Test func file() throws {
        let routes = try RelayRoutes(
            yaml: """
                # The SP server.
                routes:
                  - names: [control.Backup.example]
                    backends: ["10.0.0.5:6181", "[2001:db8::5]:6181"]
                  - names:
                      - "*.backup.example"
                      - gw_1.example.org
                    backends: [gateway.internal:6182]
                    proxy-protocol: false
                """
        )
        #expect(routes.routes.count == 2)
        let control = try #require(ServerName("CONTROL.backup.EXAMPLE").flatMap(routes.route(for:)))
        #expect(control.backends.map(\.description) == ["10.0.0.5:6181", "[2001:db8::5]:6181"])
        #expect(control.sendsProxyHeader)
        let other = try #require(ServerName("gw7.backup.example").flatMap(routes.route(for:)))
        #expect(!other.sendsProxyHeader)
        #expect(other.backends.map(\.description) == ["gateway.internal:6182"])
        #expect(routes.backends.count == 3)
    }

    @Test func learnedRoutesGoBehindThoseOfTheFile() throws {
        let file = try RelayRoutes(
            yaml: "routes: [{names: [control.backup.example, gs1.backup.example], backends: [\"10.0.0.5:6181\"]}]"
        )
        let learned = [
            GatewayServerRoute(name: "GS1.backup.example", address: "10.0.0.11:6182"),
            GatewayServerRoute(name: "gs2.backup.example", address: "10.0.0.12:6182"),
            GatewayServerRoute(name: "gs2.backup.example", address: "10.0.0.13:6182"),
            GatewayServerRoute(name: "*.backup.example", address: "10.0.0.14:6182"),
            GatewayServerRoute(name: "gs3.backup.example", address: "nowhere"),
        ]
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let routes = try file.adding(learned, logger)
        func backends(_ name: String) -> [String]? {
            ServerName(name).flatMap(routes.route(for:))?.backends.map(\.description)
        }
        #expect(backends("gs1.backup.example") == ["10.0.0.5:6181"])
        #expect(backends("gs2.backup.example") == ["10.0.0.12:6182"])
        #expect(backends("gs3.backup.example") == nil)
        #expect(routes.routes.count == 2)
        let wildcard = try RelayRoutes(yaml: "routes: [{names: [\"*.backup.example\"], backends: [\"10.0.0.9:1\"]}]")
        #expect(try wildcard.adding(learned, logger) == wildcard)
    }

    @Test(arguments: ["backup.example", "a.b.backup.example", "example", "control.backup.example.org"])
    func unknownNames(name: String) throws {
        let routes = try RelayRoutes(yaml: "routes: [{names: [\"*.backup.example\"], backends: [\"a:1\"]}]")
        let name = try #require(ServerName(name))
        #expect(routes.route(for: name) == nil)
    }

    @Test(arguments: [
        ("", "The routes file is empty"),
        ("routes: []", "line 1, routes: expected a list of at least one."),
        ("- a", "line 1, the file: expected fields: routes."),
        ("routes:\n  - names: [a]\n", "line 2, backends: is missing in a route."),
        ("routes:\n  - backends: [\"a:1\"]\n", "line 2, names: is missing in a route."),
        ("route: []", "line 1, the file: unknown field `route`; known are routes."),
        (
            "routes:\n  - names: [a]\n    backends: [\"a:1\"]\n    proxy: true",
            "line 4, a route: unknown field `proxy`; known are names, backends, proxy-protocol."
        ),
        ("routes:\n  - names: [a..b]\n    backends: [\"a:1\"]", "line 2, names: expected a host name"),
        ("routes:\n  - names: [\"*.*.b\"]\n    backends: [\"a:1\"]", "line 2, names: expected a host name"),
        ("routes:\n  - names: [a]\n    backends: [\"a\"]", "line 3, backends: expected `HOST:PORT`"),
        ("routes:\n  - names: [a]\n    backends: [\"a:0\"]", "line 3, backends: expected `HOST:PORT`"),
        ("routes:\n  - names: [a]\n    backends: [\"a:65536\"]", "line 3, backends: expected `HOST:PORT`"),
        ("routes:\n  - names: [a]\n    backends: [\"::1:5\"]", "line 3, backends: expected `HOST:PORT`"),
        ("routes:\n  - names: [a]\n    backends: [{a: 1}]", "line 3, backends: expected `HOST:PORT`"),
        ("routes:\n  - names: a\n    backends: [\"a:1\"]", "line 2, names: expected a list of at least one."),
        (
            "routes:\n  - names: [a]\n    backends: [\"a:1\", \"A:1\"]",
            "line 2, backends: the same backend stands there twice"
        ),
        (
            "routes:\n  - names: [a]\n    backends: [\"a:1\"]\n  - names: [A]\n    backends: [\"a:1\"]",
            "line 4, names: a stands in line 2 already"
        ),
        (
            "routes:\n  - names: [a]\n    backends: [\"a:1\"]\n    proxy-protocol: yes",
            "line 4, proxy-protocol: expected `true` or `false`."
        ),
        (
            "routes:\n  - names: [a]\n    backends: [\"a:1\"]\n    proxy-protocol: \"true\"",
            "line 4, proxy-protocol: expected `true` or `false`."
        ),
        ("routes: [", "This is not YAML: 2:1: error:"),
        ("routes: 1\nroutes: 2", "This is not YAML: line 1: routes stands there twice."),
    ])
    func refusedFiles(yaml: String, message: String) {
        let error = #expect(throws: HawserError.self) { try RelayRoutes(yaml: yaml) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
    }

    @Test func hugeFileIsRefused() {
        #expect(throws: HawserError.self) {
            try RelayRoutes(yaml: "# " + String(repeating: "x", count: RelayRoutes.maximumFileSize))
        }
    }

    @Test(arguments: [
        "", ".", "a.", ".a", "a..b", "a b", "a/b", "*", "*.a", "a\u{0}", "ä.de", String(repeating: "a", count: 64),
        String(repeating: "a.", count: 127) + "a.b",
    ])
    func noServerNames(text: String) {
        #expect(ServerName(text) == nil)
    }

    @Test func longestServerName() {
        let name = Array(repeating: String(repeating: "a", count: 62), count: 4).joined(separator: ".")
        #expect(ServerName(name)?.description == name)
        #expect(ServerName(String(repeating: "a", count: 63))?.parent == nil)
        #expect(ServerName("a.b.c")?.parent == "b.c")
    }
}
