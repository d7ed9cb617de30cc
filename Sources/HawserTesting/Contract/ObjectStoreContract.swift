public import HawserStorage

/// The contract of `ObjectStore`, to be run against every implementation and every layer.
///
/// With Swift Testing:
/// ```swift
/// @Test(arguments: ObjectStoreContract.checks)
/// func keepsTheContract(_ check: ObjectStoreContract.Check) async throws {
///     try await check.run(MyStore())
/// }
/// ```
public enum ObjectStoreContract {
    public struct Check: Sendable, CustomStringConvertible {
        /// What some storages or some users' rights don't have.
        public enum Need: Hashable, Sendable {
            /// Of several puts of one key at the same time exactly one creates the object.
            case atomicCreation
            case deletion
        }

        /// What is promised.
        public let description: String
        public let needs: Set<Need>
        /// Throws `ContractViolation`, or what the store throws, when the promise is broken. Wants an empty store.
        public let run: @Sendable (any ObjectStore) async throws -> Void

        init(
            _ description: String,
            needs: Set<Need> = [],
            _ run: @escaping @Sendable (any ObjectStore) async throws -> Void
        ) {
            self.description = description
            self.needs = needs
            self.run = run
        }
    }

    public static let checks: [Check] = contentChecks + listChecks + raceChecks
}

/// Runs the whole contract, each check against a new, empty store; throws at the first promise that is broken.
public func objectStoreContract(_ makeStore: () async throws -> any ObjectStore) async throws {
    for check in ObjectStoreContract.checks {
        let store = try await makeStore()
        do {
            try await check.run(store)
        } catch {
            throw ContractViolation("\(check): \(error)")
        }
    }
}
