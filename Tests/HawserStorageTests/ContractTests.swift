import HawserTesting
import Testing

@testable import HawserStorage

@Suite("The contract of object stores")
struct ContractTests {
    @Test("holds for memory", arguments: ObjectStoreContract.checks)
    func memory(_ check: ObjectStoreContract.Check) async throws {
        try await check.run(MemoryStore())
    }

    @Test("holds for a folder", arguments: ObjectStoreContract.checks)
    func folder(_ check: ObjectStoreContract.Check) async throws {
        try await withFolderStore { store, _ in try await check.run(store) }
    }

    @Test("holds for a folder without hard links", arguments: ObjectStoreContract.checks)
    func folderWithoutLinks(_ check: ObjectStoreContract.Check) async throws {
        try await withTemporaryFolder { path in
            try await check.run(
                FolderStore.open(path, createIfMissing: false, executor: .shared, placement: .lockedRename)
            )
        }
    }

    @Test("holds for a folder with a single thread", arguments: ObjectStoreContract.checks)
    func folderWithOneThread(_ check: ObjectStoreContract.Check) async throws {
        try await withTemporaryFolder { path in
            try await BlockingExecutor.withThreads(1) { executor in
                try await check.run(FolderStore.open(path, executor: executor))
            }
        }
    }

    @Test("holds through the retry layer", arguments: ObjectStoreContract.checks)
    func retrying(_ check: ObjectStoreContract.Check) async throws {
        try await check.run(RetryingStore(MemoryStore()))
    }

    @Test("holds through the retry layer around a store of which every third request fails")
    func retryingFailures() async throws {
        for check in ObjectStoreContract.checks where !check.description.contains("create it once") {
            let faults = StoreOperation.allCases.flatMap { operation in
                (1...40).map { Fault(.failBefore(.transient()), on: operation, occurrence: .only($0 * 3)) }
            }
            let store = RetryingStore(
                FaultyStore(MemoryStore(), faults: faults),
                clock: ManualClock(advancesItself: true)
            )
            try await check.run(store)
        }
    }

    @Test("holds through the concurrency layer", arguments: ObjectStoreContract.checks)
    func limited(_ check: ObjectStoreContract.Check) async throws {
        try await check.run(LimitedStore(MemoryStore(), requests: 1))
    }

    @Test("holds through the bandwidth layer", arguments: ObjectStoreContract.checks)
    func throttled(_ check: ObjectStoreContract.Check) async throws {
        let limits = ThrottledStore.Limits(upload: 1 << 20, download: 1 << 20)
        try await check.run(
            ThrottledStore(MemoryStore(), limits: limits, clock: ManualClock(advancesItself: true))
        )
    }

    @Test("holds through the metering layer", arguments: ObjectStoreContract.checks)
    func metered(_ check: ObjectStoreContract.Check) async throws {
        try await check.run(MeteredStore(MemoryStore()))
    }

    @Test("holds through all layers around a folder")
    func allLayers() async throws {
        try await withTemporaryFolder { path in
            var stores = 0
            try await objectStoreContract {
                stores += 1
                let folder = try await FolderStore.open("\(path)/\(stores)", createIfMissing: true)
                let limited = LimitedStore(MeteredStore(folder), requests: 4)
                return try ThrottledStore(RetryingStore(limited), limits: .none)
            }
        }
    }

    @Test("holds for a store with a script of no faults", arguments: ObjectStoreContract.checks)
    func faulty(_ check: ObjectStoreContract.Check) async throws {
        try await check.run(FaultyStore(MemoryStore()))
    }

    @Test("is found broken when a store breaks it")
    func violations() async throws {
        let effects: [(Fault.Effect, StoreOperation)] = [
            (.truncate(1), .get), (.flip(bit: 9), .get), (.body([1]), .get), (.storeTruncated(7), .put),
            (.hideNewest(1), .list),
        ]
        for (effect, operation) in effects {
            await #expect(throws: ContractViolation.self) {
                try await objectStoreContract {
                    FaultyStore(MemoryStore(), faults: [Fault(effect, on: operation, occurrence: .every)])
                }
            }
        }
    }
}
