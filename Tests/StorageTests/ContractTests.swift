import HawserFormat
import HawserS3
import HawserStorage
import HawserTesting
import Testing

@testable import EndToEndTests

/// What the repository relies on, by `S3ObjectStore` against the server.
@Suite("The contract of object stores", .needsServer, .serialized)
struct ContractTests {
    private let server: TestedServer

    init() throws {
        server = try #require(TestedServer.current)
    }

    @Test("holds", arguments: ObjectStoreContract.checks)
    func contract(_ check: ObjectStoreContract.Check) async throws {
        // What the server's profile says that it can't promise: then it may hold by chance, or not.
        let isPromised =
            !check.needs.contains(.atomicCreation)
            || server.lacks.isDisjoint(with: [.conditionalPut, .atomicConditionalPut])
        try await withKnownIssue("two racers can both create the object", isIntermittent: true) {
            // Through the layer that the repository has around it, which repeats what can pass.
            try await server.withStore { try await check.run(RetryingStore($0)) }
        } when: {
            !isPromised
        }
    }

    @Test("The probe finds what the server's profile says")
    func probe() async throws {
        let result = try await server.bench().hawser("storage", "probe", "--json")
        result.expect(0)
        let found = try #require(result.message("storage"))
        // Of a race one attempt tells little.
        for trait in StorageProfile.Trait.allCases where trait != .atomicConditionalPut {
            let name = trait.rawValue.split(separator: "-").joined(separator: "_")
            guard let isThere = found[name] as? Bool else {
                // What it can't find out it does not claim.
                #expect(trait == .sts || server.lacks.contains(trait), "\(trait.rawValue): \(found)")
                continue
            }
            #expect(isThere != server.lacks.contains(trait), "\(trait.rawValue): \(found)")
        }
    }

    @Test("Racing puts leave one object whole, on every server")
    func racingPuts() async throws {
        try await server.withStore { store in
            // Some servers answer racers with an error that can pass.
            let retrying = RetryingStore(store)
            let key = ObjectKey.config(1)
            let candidates = (0..<16).map { Corpus.incompressible(200_000 + $0, seed: UInt64($0)) }
            try await withThrowingTaskGroup { group in
                for bytes in candidates {
                    group.addTask {
                        do {
                            _ = try await retrying.put(key, bytes, sha256: ObjectName(sha256Of: bytes))
                        } catch let error as HawserError where error.code == .conflict {
                            // Another was first.
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(candidates.contains(try await store.get(key, range: nil)))
        }
    }

    @Test(
        "A body that is not what was signed is refused, and not stored, unless the server's profile says that it isn't"
    )
    func wrongHash() async throws {
        try await server.withStore { store in
            let bytes = Corpus.incompressible(1_000, seed: 1)
            let other = ObjectName(sha256Of: Corpus.incompressible(1_000, seed: 2))
            let key = ObjectKey.named(.dataPack, other)
            if server.lacks.contains(.checksSHA256) {
                let result = try await store.put(key, bytes, sha256: other)
                #expect(result == .created)
            } else {
                let error = await #expect(throws: HawserError.self) { try await store.put(key, bytes, sha256: other) }
                #expect(error?.isRetryable == true)
                let stored = try await store.head(key)
                #expect(stored == nil)
            }
        }
    }

    @Test(
        "holds with the documented policy, deletion by the account that may",
        .needs("MACHINE"),
        arguments: ObjectStoreContract.checks
    )
    func documentedPolicy(_ check: ObjectStoreContract.Check) async throws {
        let key = try server.account(check.needs.contains(.deletion) ? "KEEPER" : "MACHINE")
        try await server.withStore(TestedServer.freshPrefix(below: "machine/"), key: key) {
            try await check.run(RetryingStore($0))
        }
    }
}
