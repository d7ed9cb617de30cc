import HawserFormat
import HawserS3
import HawserStorage
import HawserTesting
import Logging
import Synchronization
import Testing

@testable import HawserS3

/// Credentials by script: the first ones, and those that take their place when they are refused.
final class TestCredentials: S3CredentialsProvider {
    private struct State {
        var current: S3Credentials
        var next: [S3Credentials]
        var renewals: [String] = []
    }

    private let state: Mutex<State>

    init(_ current: S3Credentials = .test(), next: [S3Credentials] = []) {
        state = Mutex(State(current: current, next: next))
    }

    /// The access keys that were refused.
    var renewals: [String] { state.withLock { $0.renewals } }

    func withCredentials<Result: Sendable>(
        _ use: @Sendable (S3Credentials) throws -> Result
    ) async throws -> Result {
        try use(state.withLock { $0.current })
    }

    func renew(refused accessKeyID: String) -> Bool {
        state.withLock { state in
            state.renewals.append(accessKeyID)
            guard !state.next.isEmpty else { return false }
            state.current = state.next.removeFirst()
            return true
        }
    }
}

extension S3Credentials {
    static func test(_ accessKeyID: String = "AKTEST", token: String? = nil) -> S3Credentials {
        S3Credentials(
            accessKeyID: accessKeyID,
            secretAccessKey: Secret(Array("hawser/test+secret".utf8)),
            sessionToken: token.map { Secret(Array($0.utf8)) }
        )
    }
}

/// A store with a client of its own, for the time of `body`.
func withStore(
    _ endpoint: S3Endpoint,
    credentials: any S3CredentialsProvider = TestCredentials(),
    clock: any Clock<Duration> = ContinuousClock(),
    now: @escaping @Sendable () -> Timestamp = { .now },
    change: (inout S3Configuration) -> Void = { _ in },
    _ body: (S3ObjectStore) async throws -> Void
) async throws {
    var configuration = S3Configuration(endpoint: endpoint, bucket: "hawser", prefix: "a folder/ü+%")
    change(&configuration)
    let owned = OwnedHTTPClient(try .init(configuration))
    let store = try S3ObjectStore(
        configuration,
        credentials: credentials,
        client: owned.client,
        owned: owned,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        clock: clock,
        now: now
    )
    do {
        try await body(store)
    } catch {
        await store.shutdown()
        throw error
    }
    await store.shutdown()
}

/// The error that `body` throws, which must be a `HawserError`.
func hawserError(_ body: () async throws -> Void) async throws -> HawserError {
    do {
        try await body()
    } catch let error as HawserError {
        return error
    }
    throw ContractViolation("Nothing was thrown.")
}

func expectCreated(_ object: TestObject, in store: S3ObjectStore) async throws {
    let result = try await store.put(object)
    #expect(result == .created)
}
