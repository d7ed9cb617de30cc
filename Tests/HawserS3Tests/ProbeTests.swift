import HawserFormat
import HawserS3
import HawserTestServer
import HawserTesting
import Testing

@Suite("Finding out what a storage can do")
struct ProbeTests {
    private func profile(
        _ behaviour: ServerBehaviour,
        _ depth: ProbeDepth = .everything,
        faults: [ServerFault] = [],
        _ change: (inout S3TestServer.Configuration) -> Void = { _ in },
        check: (S3TestServer) throws -> Void = { _ in }
    ) async throws -> StorageProfile {
        var configuration = S3TestServer.Configuration()
        configuration.behaviour = behaviour
        change(&configuration)
        return try await withS3TestServer(configuration) { server in
            for fault in faults { server.add(fault) }
            let store = try await S3ObjectStore.open(
                S3URL(parsing: "s3:\(server.endpoint)/hawser/folder"),
                environment: AWSEnvironment([:]),
                credentials: StaticCredentials(
                    accessKeyID: "AKTEST",
                    secretAccessKey: Secret(Array("hawser/test+secret".utf8))
                )
            )
            let profile = try await store.probe(depth)
            await store.shutdown()
            try check(server)
            return profile
        }
    }

    @Test("Amazon's behaviour")
    func aws() async throws {
        let profile = try await profile(.aws)
        #expect(
            profile.traits == [
                .conditionalPut: true, .atomicConditionalPut: true, .checksSHA256: true, .checksMD5: true,
                .rangedGet: true, .freshLists: true, .multiDelete: true, .versioning: false, .objectLock: false,
                .sts: true,
            ]
        )
        #expect(!profile.needsContentMD5 && profile.hasConditionalPuts && profile.leftovers == nil)
        #expect(profile.region == "us-east-1")
    }

    @Test("Amazon's, on a day on which some requests fail")
    func failing() async throws {
        let faults = [1, 3, 4].map {
            ServerFault(.answer(.error(503, "SlowDown")), on: [.put], occurrence: .only($0))
        }
        let profile = try await profile(.aws, .writing, faults: faults, check: { try $0.verifyAllFired() })
        #expect(profile.traits[.conditionalPut] == true && profile.traits[.checksSHA256] == true)
    }

    @Test("A weak one's")
    func weak() async throws {
        let profile = try await profile(.rclone)
        #expect(profile.traits[.conditionalPut] == false && profile.traits[.atomicConditionalPut] == nil)
        #expect(profile.traits[.checksSHA256] == false && profile.traits[.checksMD5] == true)
        #expect(profile.traits[.rangedGet] == true && profile.traits[.sts] == false)
        #expect(profile.needsContentMD5 && !profile.hasConditionalPuts)
    }

    @Test("Object lock, in a bucket that was made for it")
    func objectLock() async throws {
        let found = try await profile(.aws) { $0.buckets = [.init("hawser", hasObjectLock: true)] }
        #expect(found.traits[.objectLock] == true)
    }

    @Test("What decides how objects are written costs few requests, and nothing is left")
    func writing() async throws {
        let profile = try await profile(.aws, .writing) { _ in
        } check: { server in
            #expect(server.counts[.put] == 3)
            #expect(server.counts[.sts] == 0 && server.counts[.list] == 0)
            #expect(server.requests.allSatisfy { $0.key?.hasPrefix("folder/probe/") ?? true })
        }
        #expect(profile.traits[.conditionalPut] == true && profile.traits[.checksSHA256] == true)
        #expect(profile.traits[.multiDelete] == nil)
    }
}
