import Foundation
import Synchronization

/// How long requests took, in seconds.
struct Latencies: Sendable {
    var seconds: [Double] = []
    var failures: [String] = []
    var duration = 0.0

    var perSecond: Double { Double(seconds.count) / duration }

    func percentile(_ share: Double) -> Double {
        guard !seconds.isEmpty else { return .nan }
        let sorted = seconds.sorted()
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}

/// Runs `body` for each number, so many at a time.
func spread(_ count: Int, over workers: Int, _ body: @escaping @Sendable (Int) async throws -> Void) async throws {
    let workers = min(workers, count)
    try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<workers {
            group.addTask {
                for number in stride(from: worker, to: count, by: workers) { try await body(number) }
            }
        }
        try await group.waitForAll()
    }
}

/// Has workers ask again and again; each goes through tenants of its own, so that none has two requests at a time.
///
/// - Parameters:
///   - rate: requests a second of all together, at times that are fixed beforehand: what waits for an earlier answer counts
///     from when it should have been sent. `nil`: the next when the last was answered.
///   - end: when nothing new is begun.
func ask(
    _ tenants: [Tenant],
    workers: Int,
    rate: Double? = nil,
    until end: ContinuousClock.Instant,
    _ request: @escaping @Sendable (Tenant) async throws -> Void
) async -> Latencies {
    let workers = min(workers, tenants.count)
    let begin = ContinuousClock.now
    return await withTaskGroup(of: Latencies.self) { group in
        for worker in 0..<workers {
            group.addTask {
                var latencies = Latencies()
                var round = 0
                let own = stride(from: worker, to: tenants.count, by: workers).map { tenants[$0] }
                while !Task.isCancelled {
                    var due = ContinuousClock.now
                    if let rate {
                        // After an outage nobody makes up for what was not asked.
                        let late = begin.duration(to: due - .seconds(1)) / .seconds(1) * rate
                        round = max(round, (Int(late) - worker) / workers)
                        due = begin + .seconds(Double(worker + round * workers) / rate)
                        if due > .now, due < end { try? await Task.sleep(until: due, tolerance: .milliseconds(1)) }
                    }
                    guard due < end, .now < end + .seconds(5) else { break }
                    do {
                        try await request(own[round % own.count])
                        latencies.seconds.append(due.duration(to: .now) / .seconds(1))
                    } catch {
                        latencies.failures.append("\(error)")
                    }
                    round += 1
                }
                return latencies
            }
        }
        var all = Latencies()
        for await part in group {
            all.seconds += part.seconds
            all.failures += part.failures
        }
        all.duration = begin.duration(to: .now) / .seconds(1)
        return all
    }
}

/// What tasks found, in the order in which they did.
final class Collected<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    var all: [Element] { elements.withLock { $0 } }

    func add(_ element: Element) { elements.withLock { $0.append(element) } }
}
