import HawserControl
import HawserFormat
import HawserStorage

/// The bytes that one mover may still store, in blocks that the provider's server leases: a request for each object would
/// cost it a durable write each time.
///
/// A block is used until an object does not fit or its lease ends soon; when no upload on it runs any more, what was used
/// of it is told, and the rest comes back.
actor ByteBlocks {
    private struct Block {
        var free: Int
        var running = 0
        var used = 0
        var isRetired = false
        let end: ContinuousClock.Instant
    }

    // An upload that has begun should be booked on its own lease; one that takes longer is booked as if all were used.
    private static let reserve = Duration.seconds(120)

    private let lease: @Sendable (LeaseRequest) async throws -> LeaseAnswer
    private var blocks: [ControlID: Block] = [:]
    private var current: ControlID?
    private var unsettled: [LeaseSettlement] = []
    private var meter = (bytes: 0, since: ContinuousClock.now)
    /// One request for a block at a time: others wait for what it brings.
    private let asking = AsyncSemaphore(total: 1)

    init(lease: @escaping @Sendable (LeaseRequest) async throws -> LeaseAnswer) {
        self.lease = lease
    }

    /// Reserves an object's bytes.
    ///
    /// - Returns: the lease, to be named when it is finished.
    /// - Throws: `quotaExceeded`, and whatever ends a session.
    func take(_ bytes: Int) async throws -> ControlID {
        if let id = takeNow(bytes) { return id }
        return try await asking.withTaken { [self] in try await takeAfterAsking(bytes) }
    }

    /// - Parameter isStored: whether the object is in the storage now because of this upload.
    func finish(_ id: ControlID, _ bytes: Int, isStored: Bool) async {
        guard var block = blocks[id] else { return }
        block.running -= 1
        if isStored {
            block.used += bytes
            meter.bytes += bytes
        } else {
            block.free += bytes
        }
        blocks[id] = block
        guard block.isRetired else { return }
        collect()
        await settle()
    }

    /// Gives back what is not in use: at the end, when another session needs it, and when a lease ends soon.
    func giveBack(onlyEnding: Bool = false) async {
        for (id, block) in blocks where !onlyEnding || .now + Self.reserve >= block.end { retire(id) }
        collect()
        await settle()
    }

    private func takeNow(_ bytes: Int) -> ControlID? {
        guard let id = current, var block = blocks[id], block.free >= bytes, .now + Self.reserve < block.end
        else { return nil }
        block.free -= bytes
        block.running += 1
        blocks[id] = block
        return id
    }

    private func takeAfterAsking(_ bytes: Int) async throws -> ControlID {
        if let id = takeNow(bytes) { return id }
        if let current { retire(current) }
        collect()
        let settled = Array(unsettled.prefix(ControlAPI.mostKeys))
        let id = ControlID.random()
        let asked = ContinuousClock.now
        // What runs may come to less than it holds, also when it ends before the answer comes.
        let mayBeMore = blocks.values.contains { $0.running > 0 } || unsettled.count > settled.count
        let answer: LeaseAnswer
        do {
            answer = try await lease(LeaseRequest(lease: id, bytes: bytes, rate: rate(), settled: settled))
        } catch var error as HawserError where error.code == .quotaExceeded {
            // The settlement is done even then.
            unsettled.removeAll(where: settled.contains)
            if mayBeMore, !error.isRetryable { (error.isRetryable, error.retryAfter) = (true, .seconds(1)) }
            throw error
        } catch {
            // It may have been given all the same. Of very many the first have ended by themselves.
            unsettled.append(LeaseSettlement(lease: id, used: 0))
            if unsettled.count > ControlAPI.mostKeys, let first = unsettled.firstIndex(where: { $0.used == 0 }) {
                unsettled.remove(at: first)
            }
            throw error
        }
        unsettled.removeAll(where: settled.contains)
        guard answer.bytes >= bytes else {
            throw HawserError(.unavailable, "The provider's server gave less than was asked for.", isRetryable: true)
        }
        var block = Block(free: answer.bytes, end: asked + .seconds(min(max(answer.expiresIn, 0), 86_400)))
        block.free -= bytes
        block.running = 1
        blocks[id] = block
        current = id
        return id
    }

    /// Bytes a second since the last time.
    private func rate() -> Int {
        let seconds = max((ContinuousClock.now - meter.since) / .seconds(1), 1)
        defer { meter = (0, .now) }
        return Int(Double(meter.bytes) / seconds)
    }

    private func retire(_ id: ControlID) {
        blocks[id]?.isRetired = true
        if current == id { current = nil }
    }

    private func collect() {
        for (id, block) in blocks where block.isRetired && block.running == 0 {
            blocks[id] = nil
            unsettled.append(LeaseSettlement(lease: id, used: block.used))
        }
    }

    /// What can't be told now is told with the next request, or the provider books it when the lease ends.
    private func settle() async {
        let settled = Array(unsettled.prefix(ControlAPI.mostKeys))
        guard !settled.isEmpty else { return }
        guard (try? await lease(LeaseRequest(bytes: 0, rate: 0, settled: settled))) != nil else { return }
        unsettled.removeAll(where: settled.contains)
    }
}
