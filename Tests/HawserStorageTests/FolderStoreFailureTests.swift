import Foundation
import HawserFormat
import HawserTesting
import Testing

@testable import HawserStorage

@Suite("A folder store tells failures apart")
struct FolderStoreFailureTests {
    static let mountReason: Comment = "This process may not mount a file system."

    @Test("a full file system", .enabled(if: SmallFileSystem.isAvailable, mountReason))
    func fullFileSystem() async throws {
        try await SmallFileSystem.with("size=1m") { path in
            let store = try await FolderStore.open(path)
            let small = TestObject(length: 100_000, seed: 1)
            try await store.put(small)
            let large = TestObject(length: 2 << 20, seed: 2)
            await #expect { try await store.put(large) } throws: { error in
                let error = error as? HawserError
                return error?.code == .storageFull && error?.isRetryable == false && error?.place != nil
            }
            #expect(files(below: path) == [small.key.path])
            #expect(try await store.get(small.key, range: nil) == small.bytes)
            // Space comes back as soon as something is deleted.
            let middle = TestObject(length: 900_000, seed: 3)
            try await store.put(middle)
            try await store.delete([middle.key])
            #expect(try await store.put(middle) == .created)
        }
    }

    @Test("a file system without room for one more name", .enabled(if: SmallFileSystem.isAvailable, mountReason))
    func fullOfNames() async throws {
        try await SmallFileSystem.with("size=1m,nr_inodes=8") { path in
            let store = try await FolderStore.open(path)
            await #expect { for seed in 0..<9 { try await store.put(TestObject(seed: UInt64(seed))) } } throws: {
                ($0 as? HawserError)?.code == .storageFull
            }
            for info in try await store.list(prefix: "", after: nil, limit: 10) {
                #expect(info.length == 100)
            }
        }
    }

    @Test("a file system that is mounted read-only", .enabled(if: SmallFileSystem.isAvailable, mountReason))
    func readOnlyFileSystem() async throws {
        try await SmallFileSystem.with("size=1m") { path in
            let object = TestObject(seed: 1)
            try await FolderStore.open(path).put(object)
            #expect(SmallFileSystem.remount(path, "ro"))
            let store = try await FolderStore.open(path)
            #expect(try await store.get(object.key, range: nil) == object.bytes)
            #expect(try await store.list(prefix: "", after: nil, limit: 10).count == 1)
            #expect(try await store.put(object) == .existed)
            await #expect { try await store.put(TestObject(seed: 2)) } throws: {
                ($0 as? HawserError)?.code == .accessDenied
            }
            await #expect { try await store.delete([object.key]) } throws: {
                ($0 as? HawserError)?.code == .accessDenied
            }
        }
    }

    @Test("a folder that may not be written", .enabled(if: geteuid() != 0, "Modes don't bind root."))
    func readOnlyFolder() async throws {
        try await withFolderStore { store, path in
            let object = TestObject(.snapshot, seed: 1)
            try await store.put(object)
            #expect(chmod(path + "/snapshots", 0o500) == 0)
            defer { _ = chmod(path + "/snapshots", 0o700) }
            await #expect { try await store.put(TestObject(.snapshot, seed: 2)) } throws: {
                ($0 as? HawserError)?.code == .accessDenied
            }
            await #expect { try await store.delete([object.key]) } throws: {
                ($0 as? HawserError)?.code == .accessDenied
            }
            #expect(files(below: path) == [object.key.path])
        }
    }

    @Test(
        "system errors become codes with the right advice on retries",
        arguments: [
            (ENOSPC, HawserError.Code.storageFull, false), (EDQUOT, .storageFull, false),
            (EACCES, .accessDenied, false),
            (EPERM, .accessDenied, false), (EROFS, .accessDenied, false), (ENOENT, .notFound, false),
            (EIO, .unavailable, true), (ESTALE, .unavailable, true), (ETIMEDOUT, .unavailable, true),
            (EMFILE, .unavailable, true), (ENODEV, .unavailable, false), (ELOOP, .damaged, false),
            (ENAMETOOLONG, .invalidArgument, false), (9_999, .unavailable, false),
        ]
    )
    func codes(_ number: CInt, _ code: HawserError.Code, _ isRetryable: Bool) {
        let error = SystemError(number: number, call: "write").storageError(place: "/repo/x")
        #expect(error.code == code)
        #expect(error.isRetryable == isRetryable)
        #expect(error.place == "/repo/x")
        #expect(error.message.contains("write"))
    }

    @Test("a sector that can't be read is damage of this object, once it was tried again")
    func unreadableSector() async throws {
        let error = SystemError(number: EIO, call: "read").storageError(place: "/repo/x")
        #expect(error.code == .damaged && error.isRetryable)
        let faulty = FaultyStore(MemoryStore(), faults: [Fault(.failBefore(error), on: .get, occurrence: .every)])
        let store = RetryingStore(
            faulty,
            policy: RetryPolicy(maximumAttempts: 3),
            clock: ManualClock(advancesItself: true)
        )
        await #expect {
            try await store.get(TestObject(seed: 1).key, range: nil)
        } throws: { error in
            guard let error = error as? HawserError else { return false }
            return error.code == .damaged && !error.isRetryable
        }
        #expect(faulty.fired.values.first == 2)
    }

    @Test("a link whose answer was lost counts as made")
    func lostLinkAnswer() async throws {
        func status(inode: UInt64, links: Int) -> FileStatus {
            var status = FileStatus(stat())
            status.inode = inode
            status.linkCount = links
            return status
        }
        let exists = SystemError(number: EEXIST, call: "link")
        let own = status(inode: 1, links: 1)
        // The file that is there is the temporary one, or the temporary one has a second name.
        #expect(FolderStore.settle(exists, temporary: own, there: own) == .linked)
        #expect(FolderStore.settle(exists, temporary: status(inode: 1, links: 2), there: nil) == .linked)
        let timeOut = SystemError(number: ETIMEDOUT, call: "link")
        #expect(FolderStore.settle(timeOut, temporary: own, there: own) == .linked)
        // Otherwise somebody else was faster.
        #expect(FolderStore.settle(exists, temporary: own, there: status(inode: 2, links: 1)) == .existed)
        #expect(FolderStore.settle(timeOut, temporary: own, there: nil) == nil)
        let gone = SystemError(number: ENOENT, call: "link")
        #expect(FolderStore.settle(gone, temporary: own, there: nil) == .folderGone)
    }
}
