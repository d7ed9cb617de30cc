import HawserFormat
import HawserStorage
import Synchronization

/// The chunks that are wanted next, each once, with all places that they go to.
struct RestoreWindow: Sendable {
    enum Destination: Sendable {
        /// The chunk is the whole file.
        case whole(Entry)
        case part(PendingFile, offset: UInt64)

        var path: EntryPath {
            switch self {
            case .whole(let entry): entry.path
            case .part(let pending, _): pending.file.entry.path
            }
        }
    }

    struct Wanted: Sendable {
        var id: ChunkID
        var length: Int
        var destinations: [Destination]
    }

    private let queue: RestoreQueue
    private(set) var chunks: [Wanted] = []
    private(set) var extentCount = 0
    private(set) var openFiles = 0
    /// Of the entries that it holds, bytes: attributes can be long.
    private(set) var entryBytes = 0
    private var places: [ChunkID: Int] = [:]
    /// Held from when the window is handed on until the last of its chunks is written.
    fileprivate(set) var place: RestoreQueue.Place?

    init(_ queue: RestoreQueue) {
        self.queue = queue
    }

    /// Open files and planned extents of one window, of which there are three: one is planned, two are underway. So the
    /// files stay within the usual limit of 1,024 descriptors.
    private static let fileLimit = 128
    private static let extentLimit = 8 << 10
    /// The three have about as much as a backup gives to entries between its walk and its tree.
    private static let entryLimit = 3 << 20

    var isFull: Bool {
        openFiles >= Self.fileLimit || extentCount >= Self.extentLimit || entryBytes >= Self.entryLimit
    }

    /// A file whose chunks go to several places is open until they are there.
    mutating func open(_ entry: Entry) {
        openFiles += 1
        entryBytes += entry.weight
    }

    mutating func add(_ id: ChunkID, length: Int, to destination: Destination) {
        extentCount += 1
        if case .whole(let entry) = destination { entryBytes += entry.weight }
        if let place = places[id] {
            chunks[place].destinations.append(destination)
        } else {
            places[id] = chunks.count
            chunks.append(Wanted(id: id, length: length, destinations: [destination]))
        }
    }

    /// Hands on what was gathered and begins anew.
    mutating func flush() async throws {
        let full = self
        self = RestoreWindow(queue)
        if full.extentCount > 0 { try await queue.send(full) }
    }
}

/// Windows on their way from the planner to the fetcher: one is planned while the one before is fetched.
final class RestoreQueue: Sendable {
    /// Nobody takes windows any more: the fetcher has failed and says why.
    struct Ended: Error {}

    /// Given back when the last chunk of the window lets go of it.
    final class Place: Sendable {
        private let free: ByteBudget

        fileprivate init(_ free: ByteBudget) {
            self.free = free
        }

        deinit {
            free.release(1)
        }
    }

    let windows: AsyncStream<RestoreWindow>
    private let input: AsyncStream<RestoreWindow>.Continuation
    private let places = ByteBudget(total: 2)
    private let meter: StageMeter<RestoreStage>
    /// Since when the planner has not waited.
    private let atWork = Mutex(ContinuousClock.now)

    init(_ meter: StageMeter<RestoreStage>) {
        self.meter = meter
        (windows, input) = AsyncStream.makeStream()
    }

    /// Waits while two windows are underway.
    fileprivate func send(_ window: RestoreWindow) async throws {
        meter.add(since: atWork.withLock { $0 })
        try await places.reserve(1)
        atWork.withLock { $0 = .now }
        var window = window
        window.place = Place(places)
        if case .terminated = input.yield(window) { throw Ended() }
    }

    func planIsDone() {
        meter.add(since: atWork.withLock { $0 })
        finish()
    }

    func finish() {
        input.finish()
    }
}

extension Entry {
    /// Bytes beyond those that every entry has.
    fileprivate var weight: Int {
        path.bytes.count + attributes.reduce(0) { $0 + $1.name.count + $1.value.count }
    }
}

/// A file that gets its chunks in any order from several workers; finished by whoever brings the last one.
final class PendingFile: Sendable {
    let file: RestoreFile

    private struct State {
        /// Chunks that are missing, and one for the planner while it may still add some.
        var missing = 1
        var failed = false
    }

    private let state = Mutex(State())

    init(_ file: RestoreFile) {
        self.file = file
    }

    func expect() {
        state.withLock { $0.missing += 1 }
    }

    /// - Returns: whether this is the file's first failure.
    func fail() -> Bool {
        state.withLock { state in
            defer { state.failed = true }
            return !state.failed
        }
    }

    func planIsDone(_ counters: RestoreCounters) throws {
        try arrive(counters)
    }

    /// One of the expected chunks is written, or won't be.
    func arrive(_ counters: RestoreCounters) throws {
        let isComplete = state.withLock { state in
            state.missing -= 1
            return state.missing == 0 && !state.failed
        }
        guard isComplete else { return }
        try file.finish()
        counters.count(file.action, of: file.entry)
    }
}
