import CoreMetrics
import Synchronization

/// Counts up. Whole numbers that would overflow stay at the largest one.
final class CounterSeries: CounterHandler, Sendable {
    private let count = Atomic<Int64>(0)

    var value: Int64 { count.load(ordering: .relaxed) }

    func increment(by amount: Int64) {
        // A counter never falls.
        guard amount > 0 else { return }
        let (old, _) = count.wrappingAdd(amount, ordering: .relaxed)
        if old >= 0, old.addingReportingOverflow(amount).overflow { count.store(.max, ordering: .relaxed) }
    }

    func reset() { count.store(0, ordering: .relaxed) }
}

/// A number that goes up and down.
final class GaugeSeries: MeterHandler, RecorderHandler, FloatingPointCounterHandler, Sendable {
    /// The bits of a Double, since atomics are of whole numbers.
    private let bits = Atomic<UInt64>(0)

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func decrement(by amount: Double) { increment(by: -amount) }
    func reset() { set(0.0) }

    func increment(by amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }
}

/// Counts values by size, in fixed buckets.
final class HistogramSeries: RecorderHandler, TimerHandler, Sendable {
    struct Snapshot: Sendable, Equatable {
        /// How many values fell into each bucket, not summed up; the last one is of values above all bounds.
        var counts: [Int64]
        var sum: Double
    }

    let bounds: [Double]
    private let state: Mutex<Snapshot>

    /// - Parameter bounds: Upper bounds, which belong to their buckets; rising.
    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(Snapshot(counts: Array(repeating: 0, count: bounds.count + 1), sum: 0))
    }

    var snapshot: Snapshot { state.withLock { $0 } }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        // It would make the sum useless for ever.
        guard !value.isNaN else { return }
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[index] += 1
            state.sum += value
        }
    }

    /// Prometheus' unit of time is the second.
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1_000_000_000) }
}
