import HTTPTypes
import HawserControl
import Testing

@testable import HawserProvider

@Suite struct ControlRouteTests {
    private let id = ControlID.random()

    @Test(arguments: ControlOperation.allCases)
    func everyOperationIsFound(_ operation: ControlOperation) {
        let path = operation.template.replacing("{id}", with: id.text)
        let expected = operation.template.contains("{id}") ? id : nil
        #expect(ControlRoute(method: operation.method, target: path) == .operation(operation, expected))
        #expect(ControlRoute(method: operation.method, target: path + "?later=1") == .operation(operation, expected))
        #expect(ControlRoute(method: operation.method, target: path + "/") == .unknown)
        guard case .wrongMethod(let allowed) = ControlRoute(method: .put, target: path) else {
            Issue.record("PUT \(path) was taken")
            return
        }
        #expect(allowed.contains(operation.method.rawValue))
    }

    @Test func theClientsPathsAreTheServers() {
        #expect(ControlOperation.registerDevice.template == ControlAPI.devices)
        #expect(ControlOperation.makeNonce.template == ControlAPI.nonces)
        #expect(ControlOperation.signIn.template == ControlAPI.sessions)
        let paths: [(ControlOperation, String)] = [
            (.pollSession, ControlAPI.session(id)), (.followEvents, ControlAPI.events(id)),
            (.grant, ControlAPI.grants(id)), (.lease, ControlAPI.leases(id)), (.commit, ControlAPI.commits(id)),
            (.delete, ControlAPI.deletions(id)),
        ]
        for (operation, path) in paths {
            #expect(ControlRoute(method: operation.method, target: path) == .operation(operation, id))
        }
    }

    @Test(arguments: [
        "", "/", "//", "/v1", "/v1/", "/v2/sessions", "/v1/sessions/", "/v1/sessions/xyz", "v1/sessions",
        "/v1/sessions/../nonces", "/v1/sessions/%2e%2e", "/v1//sessions", "/V1/SESSIONS", "/v1/sessions\0",
        "https://control.example.org/v1/sessions", String(repeating: "/", count: 4000),
    ])
    func otherPathsAreUnknown(_ target: String) {
        #expect(ControlRoute(method: .get, target: target) == .unknown)
    }
}
