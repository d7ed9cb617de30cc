import HTTPTypes
import HawserControl
import HawserFormat
import Testing
import Yams

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Holds docs/openapi.yaml against the server: the same operations, and the same fields in every message.
@Suite struct OpenAPITests {
    private let document: Node

    init() throws {
        let path = #filePath.replacing("Tests/HawserProviderTests/API/OpenAPITests.swift", with: "docs/openapi.yaml")
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        document = try #require(try Yams.compose(yaml: text))
    }

    @Test func everyOperationIsInTheDocumentAndNoOther() throws {
        var described: Set<String> = []
        for (path, item) in try #require(document["paths"]?.mapping) {
            for (method, operation) in try #require(item.mapping) where method.string != "parameters" {
                let name = try #require(operation["operationId"]?.string)
                let known = try #require(ControlOperation(rawValue: name))
                described.insert(name)
                #expect(known.template == path.string)
                #expect(known.method.rawValue == method.string?.uppercased())
                #expect(
                    (operation["security"]?.sequence?.isEmpty == true) == !(known.needsSession || known.needsGateway)
                )
                #expect(operation["responses"]?["default"] != nil)
            }
        }
        #expect(described == Set(ControlOperation.allCases.map(\.rawValue)))
    }

    @Test func everyReferenceLeadsSomewhere() throws {
        func walk(_ node: Node) throws {
            if let reference = node["$ref"]?.string {
                var target: Node? = document
                for part in reference.dropFirst(2).split(separator: "/") { target = target?[String(part)] }
                #expect(target != nil, "\(reference)")
            }
            for (_, value) in node.mapping ?? [:] { try walk(value) }
            for value in node.sequence ?? [] { try walk(value) }
        }
        try walk(document)
    }

    @Test func everyMessageHasTheFieldsOfItsSchema() throws {
        for (name, samples) in Self.samples {
            let schema = try #require(document["components"]?["schemas"]?[name], "\(name)")
            let properties = Set(try #require(schema["properties"]?.mapping).compactMap(\.key.string))
            let required = Set(schema["required"]?.sequence?.compactMap(\.string) ?? [])
            var seen: Set<String> = []
            var always = properties
            for sample in samples {
                let fields = try Self.fields(of: sample)
                seen.formUnion(fields)
                always.formIntersection(fields)
            }
            #expect(seen == properties, "\(name)")
            #expect(always == required, "\(name)")
        }
        let described = Set(try #require(document["components"]?["schemas"]?.mapping).compactMap(\.key.string))
        let values: Set = ["ID", "Bytes", "Purpose", "ConnectionMode"]
        #expect(described.subtracting(values) == Set(Self.samples.keys))
    }

    private static func fields(of value: any Encodable) throws -> Set<String> {
        struct AnyKey: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
        struct Keys: Decodable {
            let names: Set<String>
            init(from decoder: any Decoder) throws {
                names = Set(try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue))
            }
        }
        return try JSONDecoder().decode(Keys.self, from: try JSONEncoder().encode(value)).names
    }

    /// Of each message one with everything, and one with nothing that can be left out.
    private static let samples: [String: [any Encodable & Sendable]] = {
        let id = ControlID.random()
        let quota = QuotaState(limit: 1, used: 0, reserved: 0)
        let bare = QuotaState(limit: nil, used: 0, reserved: 0)
        let problem = ControlProblem(.revoked, "", retryAfter: 1)
        let lease = LeaseState(isEnabled: true, expiresIn: 1)
        let repository = RepositoryState(
            repository: id,
            name: "",
            quota: quota,
            mode: .direct,
            credentialsGeneration: 1
        )
        let state = SessionState(
            serverTime: 1,
            lease: lease,
            repositories: [repository],
            maintenance: "",
            bandwidth: 1
        )
        let item = SessionList.Item(
            session: id,
            device: "",
            subtenant: "",
            purpose: .backup,
            agent: "",
            age: 0,
            idle: 0
        )
        var bareItem = item
        bareItem.subtenant = nil
        let storage = Grant.Storage(
            kind: .amazon,
            endpoint: "",
            region: "",
            usesPathStyle: true,
            bucket: "",
            authority: ""
        )
        var bareStorage = storage
        bareStorage.authority = nil
        let sealed = SealedCredentials(
            generation: 1,
            encapsulatedKey: Data(),
            ciphertext: Data(),
            expiresIn: 1
        )
        var endless = sealed
        endless.expiresIn = nil
        let mover = Mover(
            id: id,
            session: id,
            repository: id,
            tenant: id,
            purpose: .backup,
            token: Data(),
            bandwidth: 1,
            largest: 1
        )
        var bareMover = mover
        bareMover.bandwidth = nil
        return [
            "ControlProblem": [problem, ControlProblem(.revoked, "")],
            "RegistrationRequest": [RegistrationRequest(code: "", publicKey: Data(), name: "")],
            "RegistrationAnswer": [
                RegistrationAnswer(device: id, tenant: "", subtenant: ""),
                RegistrationAnswer(device: id, tenant: "", subtenant: nil),
            ],
            "GatewayRegistrationRequest": [GatewayRegistrationRequest(code: "", publicKey: Data())],
            "GatewayRegistrationAnswer": [GatewayRegistrationAnswer(gateway: id, name: "")],
            "GatewaySignInRequest": [GatewaySignInRequest(gateway: id, nonce: Data(), signature: Data())],
            "GatewaySignInAnswer": [GatewaySignInAnswer(token: "", authorities: [])],
            "GatewayLoad": [GatewayLoad(connections: 1)],
            "GatewayServerRoute": [GatewayServerRoute(name: "", address: "")],
            "CertificateRequest": [CertificateRequest(publicKey: Data())],
            "CertificateAnswer": [CertificateAnswer(chain: [], expiresIn: 1)],
            "Mover": [mover, bareMover],
            "MoverUsage": [MoverUsage()],
            "MoverStorageRequest": [MoverStorageRequest(vaultKey: Data())],
            "MoverStorageAnswer": [MoverStorageAnswer(storage: storage, folder: "", credentials: sealed)],
            "MoverEvent": [
                MoverEvent.movers([mover]), MoverEvent.start(mover), MoverEvent.stop(id), MoverEvent.returnUnused(id),
                MoverEvent.routes([]), MoverEvent.gateways([]),
                MoverEvent.heartbeat, MoverEvent.reconnect(after: 1),
            ],
            "NonceAnswer": [NonceAnswer(nonce: Data(), expiresIn: 1)],
            "SignInRequest": [
                SignInRequest(device: id, nonce: Data(), signature: Data(), purpose: .backup, agent: ""),
                SignInRequest(
                    device: id,
                    nonce: Data(),
                    signature: Data(),
                    purpose: .restore,
                    agent: "",
                    subtenant: ""
                ),
            ],
            "SessionAnswer": [
                SessionAnswer(
                    session: id,
                    token: "",
                    api: .init(min: 1, max: 1),
                    state: state,
                    gateways: [],
                    authorities: []
                )
            ],
            "Versions": [SessionAnswer.Versions(min: 1, max: 1)],
            "SessionState": [state, SessionState(serverTime: 1, lease: lease, repositories: [])],
            "LeaseState": [lease, LeaseState(isEnabled: true, expiresIn: nil)],
            "RepositoryState": [repository],
            "QuotaState": [quota, bare],
            "SessionList": [SessionList(sessions: [item])],
            "SessionItem": [item, bareItem],
            "SessionEvent": [
                SessionEvent.state(state), SessionEvent.heartbeat,
                SessionEvent.credentialsReady(repository: id, generation: 1), SessionEvent.revoked(problem),
                SessionEvent.changeMode(repository: id, mode: .direct), SessionEvent.reconnect(after: 1),
            ],
            "GrantRequest": [
                GrantRequest(purpose: .backup, vaultKey: Data(), avoid: .direct, export: true),
                GrantRequest(purpose: .backup),
            ],
            "Grant": [
                Grant(
                    mode: .direct,
                    reason: "",
                    fallback: .never,
                    folder: "",
                    quota: quota,
                    access: .sts,
                    storage: storage,
                    credentials: sealed,
                    exported: true,
                    gatewayServer: "",
                    gatewayToken: ""
                ),
                Grant(mode: .gateway, reason: "", fallback: .never, folder: "", quota: quota),
            ],
            "GrantStorage": [storage, bareStorage],
            "SealedCredentials": [sealed, endless],
            "LeaseRequest": [LeaseRequest(lease: id, bytes: 1, rate: 1), LeaseRequest(bytes: 1, rate: 1)],
            "LeaseSettlement": [LeaseSettlement(lease: id, used: 1)],
            "LeaseAnswer": [
                LeaseAnswer(lease: id, bytes: 1, expiresIn: 1, quota: quota),
                LeaseAnswer(lease: nil, bytes: 1, expiresIn: 1, quota: quota),
            ],
            "ObjectRecord": [ObjectRecord(key: "", length: 1)],
            "CommitRequest": [CommitRequest(objects: [], snapshot: ""), CommitRequest(objects: [])],
            "CommitAnswer": [CommitAnswer(quota: quota, receivedAt: 1)],
            "TicketRequest": [TicketRequest()],
            "Ticket": [
                Ticket(key: "", outcome: .granted, url: "", headers: [:], expiresIn: 1),
                Ticket(key: "", outcome: .stored),
            ],
            "TicketAnswer": [TicketAnswer(puts: [], gets: [], quota: quota)],
            "ListingAnswer": [ListingAnswer(objects: [])],
            "DeletionRequest": [DeletionRequest(keys: [])],
            "DeletionAnswer": [DeletionAnswer(deleted: 0, waiting: 0)],
            "PendingDeletionsAnswer": [
                PendingDeletionsAnswer(keys: [], next: id), PendingDeletionsAnswer(keys: [], next: nil),
            ],
        ]
    }()
}
