import Foundation
import HawserFormat
import HawserTesting
import Testing

@testable import HawserStorage

@Suite("A folder store")
struct FolderStoreTests {
    @Test("lays objects out by their keys, for the owner only")
    func layout() async throws {
        try await withFolderStore { store, path in
            let object = TestObject(seed: 1)
            try await store.put(object)
            #expect(files(below: path) == [object.key.path])
            func mode(_ name: String) throws -> Int? {
                try FileManager.default.attributesOfItem(atPath: path + "/" + name)[.posixPermissions] as? Int
            }
            #expect(try mode(object.key.path) == 0o600)
            #expect(try mode("packs") == 0o700)
            #expect(try mode("packs/d/" + object.key.path.dropFirst(8).prefix(2)) == 0o700)
            #expect(try mode("tmp") == 0o700)
            #expect(try await store.head(object.key)?.stored != nil)
        }
    }

    @Test("makes its root and the folders above it only when asked to")
    func root() async throws {
        try await withTemporaryFolder { path in
            await #expect { try await FolderStore.open(path + "/a/b") } throws: {
                ($0 as? HawserError)?.code == .notFound
            }
            let store = try await FolderStore.open(path + "/a/b/", createIfMissing: true)
            try await store.put(TestObject(seed: 1))
            #expect(try await FolderStore.open(path + "/a/b").list(prefix: "", after: nil, limit: 2).count == 1)
            try Data().write(to: URL(fileURLWithPath: path + "/file"))
            for place in ["", "a\0b", path + "/file", path + "/file/below"] {
                await #expect(throws: HawserError.self) { try await FolderStore.open(place, createIfMissing: true) }
            }
        }
    }

    @Test("leaves nothing in tmp, whether a put creates, finds or fails")
    func noLeftovers() async throws {
        for placement in [FolderStore.Placement.link, .lockedRename] {
            try await withTemporaryFolder { path in
                let store = try await FolderStore.open(
                    path,
                    createIfMissing: false,
                    executor: .shared,
                    placement: placement
                )
                let object = TestObject(seed: 1)
                try await store.put(object)
                try await store.put(object)
                await #expect(throws: HawserError.self) { try await store.put(object.key, [1, 2, 3]) }
                #expect(files(below: path + "/tmp").filter { $0 != "lock" } == [])
            }
        }
    }

    @Test("does not take a damaged leftover for the object", arguments: [0, 1, 99])
    func damagedLeftover(_ length: Int) async throws {
        try await withFolderStore { store, path in
            let object = TestObject(seed: 1)
            try await store.put(object)
            let url = URL(fileURLWithPath: path + "/" + object.key.path)
            // A drive that lost data leaves a shorter file, or the right length in zeros.
            for leftover in [Data(object.bytes.prefix(length)), Data(count: object.bytes.count)] {
                try leftover.write(to: url)
                await #expect { try await store.put(object) } throws: { error in
                    (error as? HawserError)?.code == .damaged && (error as? HawserError)?.isRetryable == false
                }
                #expect(try Data(contentsOf: url) == leftover)
            }
        }
    }

    @Test("goes on over what runs left that were killed between any two steps")
    func killedRuns() async throws {
        try await withFolderStore { store, path in
            let object = TestObject(seed: 1)
            let folder = path + "/" + FileLocation(object.key).folder
            let temporary = path + "/tmp/" + FolderStore.temporaryName()
            // After the folders were made, with an empty and with a half temporary file.
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: path + "/tmp", withIntermediateDirectories: true)
            try Data(object.bytes.prefix(50)).write(to: URL(fileURLWithPath: temporary))
            #expect(try await store.list(prefix: "", after: nil, limit: 10).isEmpty)
            #expect(try await store.put(object) == .created)
            // After the link, before the temporary name was removed.
            try FileManager.default.linkItem(atPath: path + "/" + object.key.path, toPath: temporary + "0")
            #expect(try await store.put(object) == .existed)
            #expect(try await store.list(prefix: "", after: nil, limit: 10).map(\.key) == [object.key])
            try await store.delete([object.key])
            #expect(try await store.put(object) == .created)
        }
    }

    @Test("removes temporary files of killed runs after their time, and nothing else")
    func staleTemporaryFiles() async throws {
        try await withFolderStore { store, path in
            #expect(try await store.removeStaleTemporaryFiles() == 0)
            try await store.put(TestObject(seed: 1))
            let old = FolderStore.temporaryName()
            let young = FolderStore.temporaryName()
            let future = FolderStore.temporaryName()
            for (name, age) in [
                (old, 90_000.0), (young, 80_000), (future, -90_000), ("lock", 90_000), ("notes", 90_000),
            ] {
                let file = path + "/tmp/" + name
                try Data([1]).write(to: URL(fileURLWithPath: file))
                try FileManager.default.setAttributes(
                    [.modificationDate: Date(timeIntervalSinceNow: -age)],
                    ofItemAtPath: file
                )
            }
            #expect(try await store.removeStaleTemporaryFiles() == 1)
            #expect(files(below: path + "/tmp") == [young, future, "lock", "notes"].sorted())
            #expect(try await store.removeStaleTemporaryFiles(olderThan: .zero) == 1)
            #expect(files(below: path + "/tmp") == [future, "lock", "notes"].sorted())
        }
    }

    @Test("the first put removes what killed runs left a day ago")
    func tidiesOnce() async throws {
        try await withFolderStore { store, path in
            try FileManager.default.createDirectory(atPath: path + "/tmp", withIntermediateDirectories: true)
            func leave(_ name: String, age: Double) throws {
                let file = path + "/tmp/" + name
                try Data([1]).write(to: URL(fileURLWithPath: file))
                let date = Date(timeIntervalSinceNow: -age)
                try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: file)
            }
            let young = FolderStore.temporaryName()
            try leave(FolderStore.temporaryName(), age: 90_000)
            try leave(young, age: 80_000)
            _ = try await store.list(prefix: "", after: nil, limit: 10)
            #expect(files(below: path + "/tmp").count == 2)
            try await store.put(TestObject(seed: 1))
            #expect(files(below: path + "/tmp") == [young])
        }
    }

    @Test("removes the folder of a snapshot's refs with the last of them")
    func tidying() async throws {
        try await withFolderStore { store, path in
            let first = TestObject(.refs, seed: 1)
            let second = ObjectKey.refs(snapshot: first.sha256, TestObject(seed: 2).sha256)
            let folder = path + "/" + FileLocation(first.key).folder
            try await store.put(first)
            try await store.put(second, [1, 2])
            try await store.delete([first.key])
            #expect(FileManager.default.fileExists(atPath: folder))
            try await store.delete([second])
            #expect(!FileManager.default.fileExists(atPath: folder))
            #expect(try await store.put(first) == .created)
        }
    }

    @Test("skips what is foreign and leaves it alone")
    func foreignFiles() async throws {
        try await withFolderStore { store, path in
            let object = TestObject(seed: 1)
            try await store.put(object)
            let hex = TestObject(seed: 2).sha256.hex
            let foreign = [
                "README", "packs/d/.DS_Store", "packs/d/ab", "packs/d/zz/" + hex, "packs/d/00/" + hex + "0",
                "packs/d/00/" + "ff" + hex.dropFirst(2), "config/01", "config/0", "config/99999999999", "config/-1",
                "snapshots/" + hex.uppercased(), "snapshots/" + hex.prefix(63), "keys/" + hex + ".tmp", "refs/" + hex,
                "index/d/\u{e4}", "index/" + hex,
            ]
            for name in foreign {
                let url = URL(fileURLWithPath: path + "/" + name)
                try? FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(),
                    withIntermediateDirectories: true
                )
                try Data([1]).write(to: url)
            }
            // A folder with the name of an object.
            let folder = TestObject(.snapshot, seed: 3).key
            try FileManager.default.createDirectory(atPath: path + "/" + folder.path, withIntermediateDirectories: true)
            let keys = try await store.list(prefix: "", after: nil, limit: 1_000).map(\.key)
            #expect(keys == [object.key])
            await #expect { try await store.get(folder, range: nil) } throws: { ($0 as? HawserError)?.code == .damaged }
            await #expect(throws: HawserError.self) { try await store.delete([folder]) }
            #expect(Set(foreign).isSubset(of: files(below: path)))
        }
    }

    @Test("never follows a symbolic link out of its root")
    func symbolicLinks() async throws {
        try await withTemporaryFolder { outside in
            try await withFolderStore { store, path in
                let manager = FileManager.default
                let object = TestObject(seed: 1)
                let secret = outside + "/secret"
                try Data(object.bytes).write(to: URL(fileURLWithPath: secret))

                // In place of a file.
                try manager.createDirectory(
                    atPath: path + "/" + FileLocation(object.key).folder,
                    withIntermediateDirectories: true
                )
                try manager.createSymbolicLink(atPath: path + "/" + object.key.path, withDestinationPath: secret)
                #expect(try await store.list(prefix: "", after: nil, limit: 10).isEmpty)
                await #expect(throws: HawserError.self) { try await store.get(object.key, range: nil) }
                await #expect(throws: HawserError.self) { try await store.head(object.key) }
                await #expect(throws: HawserError.self) { try await store.put(object) }
                try await store.delete([object.key])
                #expect(manager.fileExists(atPath: secret))

                // In place of a folder: an error, not a list without its objects.
                try manager.createSymbolicLink(atPath: path + "/snapshots", withDestinationPath: outside)
                let snapshot = TestObject(.snapshot, seed: 2)
                await #expect { try await store.list(prefix: "", after: nil, limit: 10) } throws: {
                    ($0 as? HawserError)?.code == .damaged
                }
                await #expect(throws: HawserError.self) { try await store.put(snapshot) }
                await #expect(throws: HawserError.self) { try await store.get(snapshot.key, range: nil) }
                #expect(try manager.contentsOfDirectory(atPath: outside) == ["secret"])
            }
        }
    }

    @Test("does not wait for the other end of a FIFO")
    func fifo() async throws {
        try await withFolderStore { store, path in
            let object = TestObject(.snapshot, seed: 1)
            try FileManager.default.createDirectory(atPath: path + "/snapshots", withIntermediateDirectories: true)
            #expect(mkfifo(path + "/" + object.key.path, 0o600) == 0)
            await #expect(throws: HawserError.self) { try await store.get(object.key, range: nil) }
            await #expect(throws: HawserError.self) { try await store.put(object) }
            #expect(try await store.list(prefix: "", after: nil, limit: 10).isEmpty)
        }
    }

    @Test("refuses a file that is longer than any object without reading it")
    func giantFile() async throws {
        try await withFolderStore { store, path in
            let object = TestObject(.snapshot, seed: 1)
            try await store.put(object)
            #expect(truncate(path + "/" + object.key.path, 1 << 40) == 0)
            await #expect { try await store.get(object.key, range: nil) } throws: {
                ($0 as? HawserError)?.code == .damaged
            }
        }
    }

    @Test(
        "stores long objects past the page cache byte for byte, and in memory, where that can't be",
        arguments: [FileManager.default.temporaryDirectory.path, "/dev/shm"]
    )
    func longObjects(place: String) async throws {
        guard FileManager.default.isWritableFile(atPath: place) else { return }
        let path = place + "/hawser-tests-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try await FolderStore.open(path, createIfMissing: true)
        let sizes = [0, 1, 4095, 4096, 4097, 8191].flatMap { [(1 << 20) - 1 + $0, (3 << 20) + $0] }
        let objects = sizes.enumerated().map { TestObject(length: $1, seed: UInt64($0)) }
        try await withThrowingTaskGroup { group in
            for object in objects { group.addTask { try await store.put(object) } }
            try await group.waitForAll()
        }
        for object in objects {
            #expect(try await store.head(object.key)?.length == object.bytes.count)
            #expect(try await store.get(object.key, range: nil) == object.bytes)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/tmp").isEmpty)
    }

    @Test("lists hundreds of packs in all their folders in order, page by page")
    func manyPacks() async throws {
        try await withFolderStore { store, _ in
            let objects = (0..<700).map { TestObject(length: 8, seed: $0) }
            try await withThrowingTaskGroup { group in
                for part in 0..<7 {
                    group.addTask {
                        for object in objects[part * 100..<(part + 1) * 100] { try await store.put(object) }
                    }
                }
                try await group.waitForAll()
            }
            let listing = ObjectListing(pageSize: 64) { after, limit in
                try await store.list(prefix: "packs/", after: after, limit: limit)
            }
            var keys: [ObjectKey] = []
            for try await info in listing { keys.append(info.key) }
            #expect(keys == objects.map(\.key).sorted())
        }
    }

    @Test("keeps only a page of a large folder")
    func largeFolder() async throws {
        try await withFolderStore { store, path in
            try FileManager.default.createDirectory(atPath: path + "/snapshots", withIntermediateDirectories: true)
            let keys = (0..<3_000).map { TestObject(.snapshot, length: 8, seed: $0).key }.sorted()
            for key in keys { try Data([1]).write(to: URL(fileURLWithPath: path + "/" + key.path)) }
            var listed: [ObjectKey] = []
            for try await info in store.objects(.snapshot) { listed.append(info.key) }
            #expect(listed == keys)
            #expect(try await store.list(prefix: "snapshots/", after: keys[1_499], limit: 1).first?.key == keys[1_500])
        }
    }

    @Test("two stores on one folder see each other's objects")
    func twoStores() async throws {
        try await withTemporaryFolder { path in
            let first = try await FolderStore.open(path)
            let second = try await FolderStore.open(path)
            let object = TestObject(.refs, length: 100_000, seed: 1)
            let results = try await withThrowingTaskGroup(of: PutResult.self) { group in
                for index in 0..<20 {
                    group.addTask { try await (index.isMultiple(of: 2) ? first : second).put(object) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.count { $0 == .created } == 1)
            try await second.delete([object.key])
            #expect(try await first.put(object) == .created)
            #expect(try await second.get(object.key, range: 5..<9) == Array(object.bytes[5..<9]))
        }
    }

    @Test("cancelled puts leave no temporary file")
    func cancelledPuts() async throws {
        try await withTemporaryFolder { path in
            try await BlockingExecutor.withThreads(2) { executor in
                let store = try await FolderStore.open(path, executor: executor)
                for seed in 0..<20 as Range<UInt64> {
                    let put = Task { try await store.put(TestObject(length: 300_000, seed: seed)) }
                    put.cancel()
                    _ = await put.result
                }
            }
            // The threads have ended, so nothing is in work.
            #expect(files(below: path + "/tmp") == [])
        }
    }
}
