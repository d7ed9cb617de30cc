import HTTPTypes
import HawserControl

/// What can be asked of the server. The names are the `operationId`s of docs/openapi.yaml, and labels of the metrics.
enum ControlOperation: String, CaseIterable, Sendable {
    case registerDevice, makeNonce, signIn
    case listSessions, pollSession, closeSession, followEvents
    case grant, lease, commit, delete, listDeletions, listReceipts, tickets, listObjects
    case registerGateway, signInGateway, followMovers, issueCertificate, reportLoad, moverCredentials, moverLease
    case moverUsage

    var method: HTTPRequest.Method {
        switch self {
        case .listSessions, .pollSession, .followEvents, .listDeletions, .listReceipts, .listObjects, .followMovers:
            .get
        case .closeSession: .delete
        case .registerDevice, .makeNonce, .signIn, .grant, .lease, .commit, .delete, .tickets: .post
        case .registerGateway, .signInGateway, .issueCertificate, .reportLoad, .moverCredentials, .moverLease,
            .moverUsage:
            .post
        }
    }

    /// With `{id}` where an id stands.
    var template: String {
        switch self {
        case .registerDevice: "/v1/devices"
        case .makeNonce: "/v1/nonces"
        case .signIn, .listSessions: "/v1/sessions"
        case .pollSession, .closeSession: "/v1/sessions/{id}"
        case .followEvents: "/v1/sessions/{id}/events"
        case .grant: "/v1/repositories/{id}/grants"
        case .lease: "/v1/repositories/{id}/leases"
        case .commit: "/v1/repositories/{id}/commits"
        case .delete, .listDeletions: "/v1/repositories/{id}/deletions"
        case .listReceipts: "/v1/repositories/{id}/receipts"
        case .tickets: "/v1/repositories/{id}/tickets"
        case .listObjects: "/v1/repositories/{id}/objects"
        case .registerGateway: "/v1/gateways"
        case .signInGateway: "/v1/gateways/sessions"
        case .followMovers: "/v1/gateways/events"
        case .issueCertificate: "/v1/gateways/certificates"
        case .reportLoad: "/v1/gateways/load"
        case .moverCredentials: "/v1/movers/{id}/credentials"
        case .moverLease: "/v1/movers/{id}/leases"
        case .moverUsage: "/v1/movers/{id}/usage"
        }
    }

    /// Asked for with the token of a session.
    var needsSession: Bool {
        switch self {
        case .registerDevice, .makeNonce, .signIn, .registerGateway, .signInGateway: false
        case .followMovers, .issueCertificate, .reportLoad, .moverCredentials, .moverLease, .moverUsage: false
        case .listSessions, .pollSession, .closeSession, .followEvents, .grant, .lease, .commit, .delete,
            .listDeletions, .listReceipts, .tickets, .listObjects:
            true
        }
    }
}

extension ControlOperation {
    /// Asked for with the token of a gateway server's sign-in.
    var needsGateway: Bool {
        switch self {
        case .followMovers, .issueCertificate, .reportLoad, .moverCredentials, .moverLease, .moverUsage: true
        default: false
        }
    }
}

/// A request's line, understood.
enum ControlRoute: Equatable, Sendable {
    /// The id is the one in the path, a session's or a repository's.
    case operation(ControlOperation, ControlID?)
    /// There is such a path, for other methods.
    case wrongMethod(allowed: String)
    case unknown

    var operation: ControlOperation? {
        if case .operation(let operation, _) = self { operation } else { nil }
    }

    /// - Parameter target: path and query of the request; the query is ignored.
    init(method: HTTPRequest.Method, target: String) {
        let path = target.prefix { $0 != "?" }
        let parts = path.split(separator: "/", maxSplits: 8, omittingEmptySubsequences: false)
        var allowed: [String] = []
        for (operation, template) in Self.templates {
            guard let id = Self.match(parts, template) else { continue }
            if operation.method == method {
                self = .operation(operation, id)
                return
            }
            allowed.append(operation.method.rawValue)
        }
        self = allowed.isEmpty ? .unknown : .wrongMethod(allowed: allowed.joined(separator: ", "))
    }

    var isClosing: Bool {
        if case .operation(.closeSession, _) = self { true } else { false }
    }

    private static let templates = ControlOperation.allCases.map {
        ($0, $0.template.split(separator: "/", omittingEmptySubsequences: false))
    }

    /// `nil` when the path is another; the id within is `nil` when the template has none.
    private static func match(_ parts: [Substring], _ template: [Substring]) -> ControlID?? {
        guard parts.count == template.count else { return nil }
        var id: ControlID?
        for (part, expected) in zip(parts, template) {
            if expected == "{id}" {
                guard let found = ControlID(part) else { return nil }
                id = found
            } else if part != expected {
                return nil
            }
        }
        return .some(id)
    }
}
