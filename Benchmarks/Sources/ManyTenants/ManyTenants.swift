import Foundation
import Hawser
import Logging

/// Plays many tenants at once: each opens a session, and all of them begin together to store objects of 4 MiB, so many at a
/// time, by the way that the provider grants. `scripts/measure-provider --tenants` starts it and looks at the servers
/// meanwhile.
///
///     ManyTenants FOLDER-OF-PROFILES MIB-FOR-EACH OBJECTS-AT-A-TIME
///
/// Prints JSON: seconds that each tenant took, least first.
@main
enum ManyTenants {
    private static let objectBytes = 4 << 20
    private static let quiet = Logger(label: "load", factory: { _ in SwiftLogNoOpLogHandler() })

    static func main() async throws {
        tuneProcess()
        guard CommandLine.arguments.count == 4, let mebibytes = Int(CommandLine.arguments[2]), mebibytes >= 4,
            let uploads = Int(CommandLine.arguments[3]), uploads >= 1
        else {
            FileHandle.standardError.write(
                Data("usage: ManyTenants FOLDER-OF-PROFILES MIB-FOR-EACH OBJECTS-AT-A-TIME\n".utf8)
            )
            exit(64)
        }
        let profiles = ProfileFolder(CommandLine.arguments[1])
        let names = profiles.names()
        let objects = makeObjects(mebibytes << 20 / objectBytes)
        let start = StartLine(names.count)
        let times = try await withThrowingTaskGroup(of: Double.self) { group in
            for name in names {
                group.addTask {
                    do {
                        let profile = try profiles.read(name)
                        let key = try await profile.key.deviceKey(environment: { _ in nil })
                        return try await run(profile, key, objects, uploads, start)
                    } catch {
                        // The others would wait for it for ever.
                        FileHandle.standardError.write(Data("\(name): \(error)\n".utf8))
                        exit(1)
                    }
                }
            }
            var times: [Double] = []
            for try await time in group { times.append(time) }
            return times.sorted()
        }
        print(String(decoding: try JSONEncoder().encode(times), as: UTF8.self))
    }

    /// The same for all: each has a folder of its own.
    private static func makeObjects(_ count: Int) -> [(key: ObjectKey, bytes: [UInt8], sha256: ObjectName)] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in
            let words = (0..<objectBytes / 8).map { _ in generator.next() }
            let bytes = words.withUnsafeBytes { Array($0) }
            let sha256 = ObjectName(hashOf: bytes)
            return (.named(.dataPack, sha256), bytes, sha256)
        }
    }

    /// - Returns: seconds from the common start.
    private static func run(
        _ profile: ProviderProfile,
        _ key: DeviceKey,
        _ objects: [(key: ObjectKey, bytes: [UInt8], sha256: ObjectName)],
        _ uploads: Int,
        _ start: StartLine
    ) async throws -> Double {
        let (stores, opened) = AsyncStream.makeStream(of: (any ObjectStore).self)
        return try await withProviderTarget(
            profile,
            key: key,
            purpose: .backup,
            agent: "load",
            logger: quiet,
            layers: { store in
                let store = RetryingStore(store)
                opened.yield(store)
                return store
            },
            { _ in
                guard let store = await stores.first(where: { _ in true }) else { throw CancellationError() }
                // The way is open.
                _ = try await store.list(prefix: "", after: nil, limit: 1)
                let begin = await start.wait()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (index, object) in objects.enumerated() {
                        if index >= uploads { try await group.next() }
                        group.addTask { _ = try await store.put(object.key, object.bytes, sha256: object.sha256) }
                    }
                    try await group.waitForAll()
                }
                return begin.duration(to: .now) / .seconds(1)
            }
        )
    }
}

/// Where all wait for the last.
private actor StartLine {
    private var missing: Int
    private var waiting: [CheckedContinuation<ContinuousClock.Instant, Never>] = []

    init(_ count: Int) {
        missing = count
    }

    /// - Returns: when all had come.
    func wait() async -> ContinuousClock.Instant {
        missing -= 1
        guard missing <= 0 else { return await withCheckedContinuation { waiting.append($0) } }
        let now = ContinuousClock.now
        for each in waiting { each.resume(returning: now) }
        waiting = []
        return now
    }
}
