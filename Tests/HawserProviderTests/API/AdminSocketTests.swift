import HawserControl
import HawserFormat
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct AdminSocketTests {
    @Test func commandsReachTheRunningServer() async throws {
        try await withProviderFolder { provider in
            let socket = provider.folder.adminSocket
            try await provider.withServer {
                $0.folder = provider.folder
            } _: { client in
                try await AdminClient.withClient(socket: socket) { admin in
                    let shown = try await admin.perform(AuthorityStatus.operation, Data())
                    let before = try JSONDecoder().decode(AuthorityStatus.self, from: shown)
                    #expect(before.authorities.count == 1)
                    #expect(before.nextStep == nil && !before.isGiven)
                    #expect(before.authorityEnds > before.certificateEnds)

                    let request = try JSONEncoder().encode(RotateAuthority(days: 30))
                    let rotated = try await admin.perform(RotateAuthority.operation, request)
                    let after = try JSONDecoder().decode(AuthorityStatus.self, from: rotated)
                    #expect(after.authorities.count == 2)
                    let month = Moment(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) + .seconds(30 * 86_400)
                    let next = try #require(after.nextStep)
                    #expect(next <= month && month - next < .seconds(3600))
                    // Tenants hear of it with their next sign-in, over a connection that the old one vouches for.
                    #expect(try await client.signIn().authorities == after.authorities)

                    let again = await #expect(throws: HawserError.self) {
                        try await admin.perform(RotateAuthority.operation, request)
                    }
                    #expect(again?.code == .conflict)
                    let unknown = await #expect(throws: HawserError.self) { try await admin.perform("nothing", Data()) }
                    #expect(unknown?.code == .notFound)
                }
            }
            #expect(!FileManager.default.fileExists(atPath: socket))
        }
    }

    @Test func theSocketIsItsOwnersAlone() async throws {
        try await withProviderFolder { provider in
            let socket = provider.folder.adminSocket
            try await provider.withServer {
                $0.folder = provider.folder
            } _: { _ in
                // The mode is set once the listener runs; an answer says that it does.
                _ = try await AdminClient.withClient(socket: socket) {
                    try await $0.perform(AuthorityStatus.operation, Data())
                }
                let attributes = try FileManager.default.attributesOfItem(atPath: socket)
                #expect("\(attributes[.posixPermissions] ?? "")" == "\(0o600)")
            }
        }
    }

    @Test func aServerThatNoCommandReachesEnds() async throws {
        try await withProviderFolder { provider in
            let socket = provider.folder.adminSocket
            try FileManager.default.createDirectory(atPath: socket, withIntermediateDirectories: false)
            let error = await expectError(.fileSystem) {
                try await provider.withServer({ $0.folder = provider.folder }, { _ in })
            }
            #expect(error?.place == socket)
            let left = try FileManager.default.contentsOfDirectory(atPath: provider.folder.path)
            #expect(!left.contains { $0.hasPrefix(".") })
        }
    }

    /// What webhooks are told of is what the command shows.
    @Test func alarmsAreOfTheServerToo() async throws {
        // By this clock the certificate of 90 days, which is made by the machine's, ends in 10.
        let start = ContinuousClock.now
        let clock = ProviderClock(
            wall: { Timestamp(seconds: Int64(Date().timeIntervalSince1970) + 80 * 86_400) },
            monotonic: { ContinuousClock.now - start }
        )
        try await withProviderFolder(clock: clock) { provider in
            try await provider.withServer {
                $0.folder = provider.folder
                $0.alarms.daysWithoutBackup = 0
            } _: { _ in
                try await AdminClient.withClient(socket: provider.folder.adminSocket) { admin in
                    let codes = try await Set(admin.perform(AlarmList()).map(\.code))
                    #expect(codes.isSuperset(of: ["certificate", "no_backup"]))
                    // The command's own days go before those of the server.
                    let others = try await Set(admin.perform(AlarmList(daysWithoutBackup: 1)).map(\.code))
                    #expect(codes.subtracting(others) == ["no_backup"])
                }
            }
        }
    }

    @Test func withoutAServerTheErrorSaysSo() async throws {
        let error = await #expect(throws: HawserError.self) {
            try await AdminClient.withClient(socket: "/tmp/hawser-none.sock") {
                try await $0.perform(AuthorityStatus.operation, Data())
            }
        }
        #expect(error?.code == .noServer)
    }

    @Test func aJoinStringHoldsAllThatATenantNeeds() async throws {
        try await withProviderFolder { provider in
            try await provider.withServer {
                $0.folder = provider.folder
            } _: { client in
                try await AdminClient.withClient(socket: provider.folder.adminSocket) { admin in
                    let missing = await #expect(throws: HawserError.self) {
                        try await admin.perform(TenantJoinCode(tenant: "acme"))
                    }
                    #expect(missing?.code == .notFound)
                    _ = try await admin.perform(
                        GatewayAdd(name: "relay1", kind: .relay, address: "gateway.provider.test:6180")
                    )
                    let answer = try await admin.perform(TenantJoinCode(tenant: "acme"))
                    provider.log.addSecret(answer.code)
                    let join = try JoinString(parsing: answer.joinString)
                    #expect(join.domain == ServedProvider.domain)
                    #expect(join.gateways.map(\.description) == ["gateway.provider.test:6180"])
                    #expect(join.tenant == "acme")
                    #expect(join.code == answer.code)
                    // What it pins is what the server shows.
                    let pinned = TestClient(provider, port: client.port, authorities: join.authorities) {}
                    let status = try await pinned.send(.POST, ControlAPI.nonces).status
                    try await pinned.shutdown()
                    #expect(status == 200)
                }
            }
        }
    }
}
