import HTTPTypes
import HawserControl
import HawserFormat
import NIOHTTP1
import Testing
import Yams

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Holds docs/openapi.yaml against the server: the same operations, and the same fields, types, values and limits in every
/// message. `TestClient` looks at all answers of the server that tests get.
@Suite struct OpenAPITests {
    private let document: Node
    private let api: APIDocument

    init() throws {
        let path = #filePath.replacing("Tests/HawserProviderTests/API/OpenAPITests.swift", with: "docs/openapi.yaml")
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        document = try #require(try Yams.compose(yaml: text))
        api = try APIDocument.shared.get()
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
                let value = try JSONDecoder().decode(APIValue.self, from: try JSONEncoder().encode(sample))
                let schema = try #require(api.schema(name))
                #expect(api.problems(value, schema, name) == [])
                let fields = Set(try #require(value.object).keys)
                seen.formUnion(fields)
                always.formIntersection(fields)
            }
            #expect(seen == properties, "\(name)")
            #expect(always == required, "\(name)")
        }
        let described = Set(try #require(document["components"]?["schemas"]?.mapping).compactMap(\.key.string))
        let values: Set = ["ID", "SnapshotID", "Bytes", "Purpose", "ConnectionMode"]
        #expect(described.subtracting(values) == Set(Self.samples.keys))
    }

    @Test func valuesThatCanBeChosenAreTheServers() throws {
        func expect<Value: RawRepresentable<String> & CaseIterable>(
            _ type: Value.Type,
            _ name: String,
            _ field: String? = nil
        ) throws {
            let schema = try #require(api.schema(name))
            let values = field.map { schema["properties"]?[$0]?["enum"] } ?? schema["enum"]
            #expect(values?.array.map(Set.init) == Set(type.allCases.map { .string($0.rawValue) }), "\(name)")
        }
        try expect(Purpose.self, "Purpose")
        try expect(ConnectionMode.self, "ConnectionMode")
        try expect(Grant.Fallback.self, "Grant", "fallback")
        try expect(AccessPermissions.self, "Grant", "access")
        try expect(StorageKind.self, "GrantStorage", "kind")
        try expect(Ticket.Outcome.self, "Ticket", "outcome")
    }

    @Test func statusCodesAreThoseOfTheirTable() throws {
        let path = #filePath.replacing(
            "Tests/HawserProviderTests/API/OpenAPITests.swift",
            with: "docs/control-protocol.md"
        )
        var codes: Set<String> = []
        for line in String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self).split(separator: "\n") {
            guard let row = line.firstMatch(of: /^\| ([45][0-9]{2}) \| (.*) \|$/) else { continue }
            // Behind a colon the row says more of its code.
            for code in row.output.2.prefix(while: { $0 != ":" }).matches(of: /`([a-z_]+)`/) {
                let problem = ControlProblem(HawserError.Code(String(code.output.1)), "")
                codes.insert(problem.code)
                #expect("\(problem.statusCode)" == row.output.1, "\(problem.code)")
            }
        }
        #expect(codes.isSuperset(of: ControlProblem.answerable), "\(ControlProblem.answerable.subtracting(codes))")
    }

    @Test func limitsAreTheServers() async throws {
        func limit(_ schema: String, _ field: String, _ word: String) throws -> Int {
            try #require(api.schema(schema)?["properties"]?[field]?[word]?.integer, "\(schema).\(field)")
        }
        #expect(try limit("CommitRequest", "objects", "maxItems") == ControlAPI.mostKeys)
        #expect(try limit("DeletionRequest", "keys", "maxItems") == ControlAPI.mostKeys)
        #expect(try limit("TicketRequest", "puts", "maxItems") == ControlAPI.mostTickets)
        #expect(try limit("TicketRequest", "gets", "maxItems") == ControlAPI.mostTickets)
        let (name, agent) = (
            try limit("RegistrationRequest", "name", "maxLength"), try limit("SignInRequest", "agent", "maxLength")
        )
        try await withProvider { provider, client in
            let key = "packs/d/ab/ab" + String(repeating: "0", count: 62)
            let session = try await client.signIn(purpose: .prune)
            let code = try await provider.database.addJoinCode(.device(tenant: provider.tenant, subtenant: nil))
            var registration = RegistrationRequest(code: code, publicKey: Data(count: 32), name: "")
            registration.name = String(repeating: "n", count: name + 1)
            #expect(try await client.post(ControlAPI.devices, registration).code == "invalid_argument")
            registration.name.removeLast()
            #expect(try await client.post(ControlAPI.devices, registration).status == 200)

            let device = try await client.register()
            var signIn = try client.signInRequest(device, nonce: try await client.nonce())
            signIn.agent = String(repeating: "a", count: agent + 1)
            #expect(try await client.post(ControlAPI.sessions, signIn).code == "invalid_argument")
            signIn.agent.removeLast()
            #expect(try await client.post(ControlAPI.sessions, signIn).status == 200)

            let path = ControlAPI.deletions(provider.repository)
            let keys = Array(repeating: key, count: ControlAPI.mostKeys + 1)
            let many = try await client.post(path, DeletionRequest(keys: keys), token: session.token)
            #expect(many.code == "invalid_argument")
            let tickets = TicketRequest(gets: Array(keys.prefix(ControlAPI.mostTickets + 1)))
            let tooMany = try await client.post(
                ControlAPI.tickets(provider.repository),
                tickets,
                token: session.token
            )
            #expect(tooMany.code == "invalid_argument")
            for query in ["limit=0", "limit=1001", "prefix=" + String(repeating: "a", count: 201)] {
                let path = ControlAPI.objects(provider.repository) + "?" + query
                #expect(try await client.send(.GET, path, token: session.token).code == "invalid_argument")
            }
        }
    }

    /// What looks at messages sees what is wrong with them.
    @Test(arguments: [
        (#"{"limit":5,"used":0,"reserved":0,"pending":0}"#, [String]()),
        (#"{"limit":-5,"used":0,"reserved":0,"pending":0}"#, ["x.limit: minimum"]),
        (#"{"used":0.5,"reserved":0,"pending":0}"#, ["x.used: type"]),
        (#"{"used":0,"reserved":"0","pending":0}"#, ["x.reserved: type"]),
        (#"{"used":0,"reserved":0,"pending":0,"free":1}"#, ["x: properties"]),
        (#"{"used":0,"reserved":0,"limit":null,"pending":0}"#, ["x.limit: type"]),
        (#"{"used":0,"reserved":0}"#, ["x: required"]), ("[]", ["x: required", "x: type"]),
    ])
    func wrongMessagesAreSeen(_ text: String, _ problems: [String]) throws {
        let value = try JSONDecoder().decode(APIValue.self, from: Data(text.utf8))
        let schema = try #require(api.schema("QuotaState"))
        #expect(api.problems(value, schema, "x") == problems)
    }

    @Test func wrongTextsAreSeen() throws {
        for (name, text) in [
            ("ID", "0123"), ("ID", "0123456789ABCDEF0123456789ABCDEF"), ("Purpose", "delete"), ("ConnectionMode", ""),
        ] {
            let schema = try #require(api.schema(name))
            #expect(api.problems(.string(text), schema, "x").count == 1, "\(text)")
        }
        let sealed = #"{"generation":1,"encapsulatedKey":"-","ciphertext":""}"#
        let value = try JSONDecoder().decode(APIValue.self, from: Data(sealed.utf8))
        let schema = try #require(api.schema("SealedCredentials"))
        #expect(api.problems(value, schema, "x") == ["x.encapsulatedKey: contentEncoding"])
        #expect(api.problems(status: 201, body: Data(), of: .signIn) == ["signIn does not answer 201"])
        let refused = Data(#"{"code":"not_found","message":""}"#.utf8)
        #expect(api.problems(status: 404, body: refused, of: nil) == [])
        #expect(api.problems(status: 400, body: refused, of: .lease) == ["not_found is not answered by 400"])
    }

    /// Of each message one with everything, and one with nothing that can be left out.
    private static let samples: [String: [any Encodable & Sendable]] = {
        let id = ControlID.random()
        let snapshot = String(repeating: "0", count: 64)
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
            "CommitRequest": [
                CommitRequest(objects: [], snapshot: "", replaces: ""), CommitRequest(objects: []),
            ],
            "CommitAnswer": [CommitAnswer(quota: quota, receivedAt: 1)],
            "TicketRequest": [TicketRequest()],
            "Ticket": [
                Ticket(key: "", outcome: .granted, url: "", headers: [:], expiresIn: 1),
                Ticket(key: "", outcome: .stored),
            ],
            "TicketAnswer": [TicketAnswer(puts: [], gets: [], quota: quota)],
            "ListingAnswer": [ListingAnswer(objects: [])],
            "SnapshotReceipt": [ReceiptsAnswer.Receipt(snapshot: snapshot, receivedAt: 1, notedAt: 2)],
            "ReceiptsAnswer": [
                ReceiptsAnswer(receipts: [], next: snapshot), ReceiptsAnswer(receipts: [], next: nil),
            ],
            "DeletionRequest": [DeletionRequest(keys: [])],
            "DeletionAnswer": [DeletionAnswer(deleted: 0, waiting: 0)],
            "PendingDeletionsAnswer": [
                PendingDeletionsAnswer(keys: [], next: id), PendingDeletionsAnswer(keys: [], next: nil),
            ],
        ]
    }()
}
