import HawserFormat
public import Logging

/// Keeps a connection to the provider for the time of `body`, which begins at once: requests wait for the session.
///
/// When there can be no session (any more), `body` is cancelled and the reason is thrown in its place. At the end the
/// provider is told that the session is over.
public func withProviderConnection<Result: Sendable>(
    _ profile: ProviderProfile,
    key: DeviceKey,
    purpose: Purpose,
    subtenant: String? = nil,
    agent: String,
    settings: ProviderConnection.Settings = .init(),
    logger: Logger = Logger(label: "hawser.control"),
    onProfileChange: @escaping @Sendable (ProviderProfile) async -> Void = { _ in },
    _ body: @escaping @Sendable (ProviderConnection) async throws -> Result
) async throws -> Result {
    let connection = ProviderConnection(
        profile,
        key: key,
        purpose: purpose,
        subtenant: subtenant,
        agent: agent,
        settings: settings,
        logger: logger,
        onProfileChange: onProfileChange
    )
    return try await connection.whileRunning { try await body(connection) }
}

extension ProviderConnection {
    func whileRunning<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        // Not cancelled with the caller: `body` may have something to say to the provider at its end.
        let life = Task { try await self.run() }
        let result: Swift.Result<Result, any Error>
        do {
            let value = try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask { try await body() }
                group.addTask {
                    for await status in self.broadcast.values() {
                        if case .ended(let error) = status.phase { throw error }
                    }
                    return nil
                }
                defer { group.cancelAll() }
                while let value = try await group.next() {
                    if let value { return value }
                }
                throw CancellationError()
            }
            result = .success(value)
        } catch {
            result = .failure(error)
        }
        // First, or it takes the end of the session that it is told of for one to be made up for by a new one.
        life.cancel()
        _ = await life.result
        await Task { await self.close() }.value
        return try result.get()
    }
}
