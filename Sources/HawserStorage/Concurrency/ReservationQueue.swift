/// The state of a counting semaphore: how much is taken, and who waits, in the order of their requests.
///
/// Pure: it grants and remembers; the owner suspends and resumes. Nobody overtakes: while anybody waits, a new request
/// waits too, also when it would fit. So a large request is never starved by small ones.
struct ReservationQueue<Waiter> {
    private struct Entry {
        let id: UInt64
        let amount: Int
        let waiter: Waiter
    }

    private(set) var total: Int
    private(set) var used = 0
    // Entries before `head` are done; the array is compacted when they are the greater part.
    private var entries: [Entry] = []
    private var head = 0

    init(total: Int) {
        precondition(total > 0)
        self.total = total
    }

    var waitingCount: Int { entries.count - head }

    /// Whether `amount` was taken at once.
    /// - Precondition: `amount` is 0...`total`.
    mutating func take(_ amount: Int) -> Bool {
        precondition(amount >= 0 && amount <= total)
        guard waitingCount == 0, amount <= total - used else { return false }
        used += amount
        return true
    }

    /// - Parameter id: not used by another that waits.
    mutating func wait(id: UInt64, amount: Int, _ waiter: Waiter) {
        entries.append(Entry(id: id, amount: amount, waiter: waiter))
    }

    /// Gives `amount` back. Returns who goes on, in order; what they asked for is taken.
    /// - Precondition: that much is taken.
    mutating func give(_ amount: Int) -> [Waiter] {
        precondition(amount >= 0 && amount <= used, "More is released than was reserved.")
        used -= amount
        return grant()
    }

    /// Takes a waiter out. `nil` when it does not wait (any more); otherwise it, and who can go on because it left.
    mutating func cancel(id: UInt64) -> (cancelled: Waiter, granted: [Waiter])? {
        guard let index = entries[head...].firstIndex(where: { $0.id == id }) else { return nil }
        let entry = entries.remove(at: index)
        return (entry.waiter, grant())
    }

    private mutating func grant() -> [Waiter] {
        var granted: [Waiter] = []
        while head < entries.count, entries[head].amount <= total - used {
            used += entries[head].amount
            granted.append(entries[head].waiter)
            head += 1
        }
        if head * 2 >= entries.count {
            entries.removeFirst(head)
            head = 0
        }
        return granted
    }
}
