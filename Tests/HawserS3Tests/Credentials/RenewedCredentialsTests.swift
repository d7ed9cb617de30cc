import HawserFormat
import HawserTesting
import Synchronization
import Testing

@testable import HawserS3

@Suite("Renewing credentials")
struct RenewedCredentialsTests {
    /// Gives key after key, each for so long, and fails where told.
    final class Source: S3CredentialsSource {
        private let count = Mutex(0)
        private let failing: Set<Int>
        private let gates: [Int: Gate]
        private let lifetime: Int64?
        private let clock: ManualClock

        init(_ clock: ManualClock, lifetime: Int64?, failing: Set<Int> = [], gates: [Int: Gate] = [:]) {
            self.clock = clock
            self.lifetime = lifetime
            self.failing = failing
            self.gates = gates
        }

        var place: String { "the test" }
        var loads: Int { count.withLock { $0 } }

        func load() async throws -> S3Credentials? {
            let number = count.withLock { count in
                count += 1
                return count
            }
            try await gates[number]?.pass()
            if failing.contains(number) { throw HawserError(.unavailable, "As told.", isRetryable: true) }
            return S3Credentials(
                accessKeyID: "key-\(number)",
                secretAccessKey: Secret([1, 2, 3]),
                expiration: lifetime.map { Timestamp(seconds: clock.now.offset.components.seconds + $0) }
            )
        }
    }

    private let clock = ManualClock()

    private func provider(_ source: Source) -> RenewedCredentials {
        let clock = clock
        return RenewedCredentials(
            source,
            clock: clock,
            wallClock: { Timestamp(seconds: clock.now.offset.components.seconds) }
        )
    }

    private func key(_ provider: RenewedCredentials) async throws -> String {
        try await provider.withCredentials { $0.accessKeyID }
    }

    @Test("Permanent ones are asked for once")
    func permanent() async throws {
        let source = Source(clock, lifetime: nil)
        let provider = provider(source)
        for _ in 0..<3 {
            #expect(try await key(provider) == "key-1")
            clock.advance(by: .seconds(1_000_000))
        }
        #expect(source.loads == 1)
    }

    @Test(
        "Temporary ones are renewed ten minutes before they end, or in the last third",
        arguments: [(3600, 3000), (43_200, 42_600), (900, 600), (3, 2)] as [(Int64, Int64)]
    )
    func early(lifetime: Int64, renewal: Int64) async throws {
        let source = Source(clock, lifetime: lifetime)
        let provider = provider(source)
        #expect(try await key(provider) == "key-1")
        clock.advance(by: .seconds(renewal) - .milliseconds(1))
        #expect(try await key(provider) == "key-1")
        clock.advance(by: .milliseconds(1))
        #expect(try await key(provider) == "key-2")
        #expect(source.loads == 2)
    }

    @Test("When renewing fails the old ones serve until they end, and it is tried again every half minute")
    func failing() async throws {
        let source = Source(clock, lifetime: 3600, failing: [2, 3])
        let provider = provider(source)
        _ = try await key(provider)
        clock.advance(by: .seconds(3000))
        #expect(try await key(provider) == "key-1")
        #expect(try await key(provider) == "key-1")
        #expect(source.loads == 2)
        clock.advance(by: .seconds(30))
        #expect(try await key(provider) == "key-1")
        #expect(source.loads == 3)
        clock.advance(by: .seconds(30))
        #expect(try await key(provider) == "key-4")
    }

    @Test("When they have ended and renewing fails, the error says so")
    func ended() async throws {
        let source = Source(clock, lifetime: 3600, failing: [2])
        let provider = provider(source)
        _ = try await key(provider)
        clock.advance(by: .seconds(3600))
        await #expect { try await key(provider) } throws: { ($0 as? HawserError)?.code == .unavailable }
        #expect(try await key(provider) == "key-3")
    }

    @Test("Many requests ask the source once")
    func singleFlight() async throws {
        let source = Source(clock, lifetime: 3600)
        let provider = provider(source)
        let keys = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 { group.addTask { try await provider.withCredentials { $0.accessKeyID } } }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(keys == ["key-1"])
        #expect(source.loads == 1)
    }

    @Test(
        "While one request renews, the others go on with the old ones, and one that is cancelled leaves it to the next"
    )
    func renewing() async throws {
        let gate = Gate()
        let source = Source(clock, lifetime: 3600, gates: [2: gate])
        let provider = provider(source)
        _ = try await key(provider)
        clock.advance(by: .seconds(3000))
        try await withThrowingTaskGroup(of: String.self) { group in
            group.addTask { try await provider.withCredentials { $0.accessKeyID } }
            try await gate.waitForArrivals(1)
            #expect(try await key(provider) == "key-1")
            group.cancelAll()
            await #expect(throws: CancellationError.self) { try await group.next() }
        }
        #expect(try await key(provider) == "key-3")
    }

    @Test("A refused key is renewed at once, and once for all who were refused")
    func refused() async throws {
        let source = Source(clock, lifetime: 3600)
        let provider = provider(source)
        _ = try await key(provider)
        let answers = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 { group.addTask { try await provider.renew(refused: "key-1") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.allSatisfy { $0 })
        #expect(source.loads == 2)
        #expect(try await key(provider) == "key-2")
    }

    @Test("What is refused right after a renewal has another reason")
    func refusedAgain() async throws {
        let source = Source(clock, lifetime: 3600)
        let provider = provider(source)
        _ = try await key(provider)
        #expect(try await provider.renew(refused: "key-1"))
        #expect(try await !provider.renew(refused: "key-2"))
        #expect(source.loads == 2)
        clock.advance(by: .seconds(30))
        #expect(try await provider.renew(refused: "key-2"))
    }

    @Test("Credentials that came out of date are tried: this machine's clock may be wrong")
    func outOfDate() async throws {
        let source = Source(clock, lifetime: -3600)
        let provider = provider(source)
        #expect(try await key(provider) == "key-1")
        #expect(try await key(provider) == "key-1")
        #expect(source.loads == 1)
    }

    @Test("Nothing set up anywhere: the error names the places")
    func none() async throws {
        let provider = RenewedCredentials(CredentialsChain([EnvironmentCredentials(AWSEnvironment([:]))]))
        await #expect { try await provider.withCredentials { $0.accessKeyID } } throws: { error in
            let error = error as? HawserError
            return error?.code == .accessDenied && error?.message.contains("the environment") == true
        }
    }

    @Test("Secrets can't be printed")
    func unprintable() {
        let secret = "wJalrXUtnFEMI"
        let credentials = S3Credentials(
            accessKeyID: "AKID",
            secretAccessKey: Secret(Array(secret.utf8)),
            sessionToken: Secret(Array(secret.utf8))
        )
        for value in [credentials, StaticCredentials(credentials), RenewedCredentials(StaticCredentials(credentials))]
            as [Any]
        {
            var text = String(describing: value) + String(reflecting: value)
            dump(value, to: &text)
            #expect(!text.contains(secret))
        }
    }
}
