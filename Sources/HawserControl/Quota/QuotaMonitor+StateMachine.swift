public import HawserFormat

extension QuotaMonitor {
    /// What is leased, what of it is used, and when to ask for more. Pure: times come from outside, and what has to be
    /// done goes back.
    struct StateMachine {
        struct Lease {
            var id: ControlID
            var bytes: Int
            /// Stored.
            var used = 0
            /// Of uploads under way.
            var reserved = 0
            var ends: Duration
            /// From here on another is wanted.
            var renews: Duration
            /// Nothing more is taken from it; it is settled when its last upload has ended.
            var isGivenUp = false

            func free(now: Duration) -> Int { isGivenUp || now >= ends ? 0 : max(0, bytes - used - reserved) }
        }

        private struct Reservation {
            var key: ObjectKey
            var bytes: Int
            var parts: [(lease: ControlID, bytes: Int)]
        }

        private struct Waiter {
            var id: UInt64
            var key: ObjectKey
            var bytes: Int
        }

        struct Ask: Sendable {
            var request: LeaseRequest
            var sent: Duration
            /// It asks for more than is needed now: when it is refused, what is needed is asked for.
            var isAhead: Bool
        }

        /// What the owner has to send; one thing at a time.
        enum Work {
            case commit([ObjectRecord])
            case lease(Ask)
        }

        enum Outcome {
            case granted
            case wait
            case refused(HawserError)
        }

        /// What became of those that waited.
        struct Served {
            var granted: [UInt64] = []
            var failed: [(id: UInt64, error: HawserError)] = []
        }

        private(set) var session: ControlID?
        private(set) var leases: [Lease] = []
        private var reservations: [UInt64: Reservation] = [:]
        private var waiters: [Waiter] = []
        private(set) var records: [ObjectRecord] = []
        private var settled: [LeaseSettlement] = []
        private var stored = 0
        private var meter = RateMeter()
        private var isBusy = false
        private var lastLease = 0
        /// The quota is nearly used up, or somebody else needs it: only what is needed is asked for. Since when.
        private var tightSince: Duration?
        /// Requests for so many bytes were refused: no use in asking again before something changes.
        private var refused: Int?
        private var freeWhenRefused: Int?
        private var quota: QuotaState?
        private var isReturnAsked = false
        private var failure: HawserError?
        /// Whether it leases ahead of need.
        private var isLeasing: Bool
        private let settings: Settings

        init(settings: Settings) {
            self.settings = settings
            isLeasing = settings.startsLeasing
        }

        // MARK: Objects

        /// What is kept back so that the metadata of what was stored can be stored too.
        var closingReserve: Int { max(settings.smallestClosingReserve, stored / settings.closingShare) }

        func available(now: Duration) -> Int { leases.reduce(0) { $0 + $1.free(now: now) } }

        private var isTight: Bool { tightSince != nil }

        private func floor(_ key: ObjectKey) -> Int { key.kind == .dataPack ? closingReserve : 0 }

        mutating func reserve(_ bytes: Int, for key: ObjectKey, id: UInt64, now: Duration) -> Outcome {
            if let failure { return .refused(failure) }
            let mayOvertake = key.kind != .dataPack
            if mayOvertake || waiters.isEmpty, take(bytes, for: key, id: id, now: now) { return .granted }
            if let refused, bytes >= refused { return .refused(shortage(bytes)) }
            let waiter = Waiter(id: id, key: key, bytes: bytes)
            // Metadata goes first: it makes what was stored before worth having been stored.
            waiters.insert(
                waiter,
                at: mayOvertake ? waiters.firstIndex { $0.key.kind == .dataPack } ?? waiters.count : waiters.count
            )
            return .wait
        }

        /// From the oldest leases first, so that they get used up.
        private mutating func take(_ bytes: Int, for key: ObjectKey, id: UInt64, now: Duration) -> Bool {
            guard available(now: now) - bytes >= floor(key) else { return false }
            var rest = bytes
            var parts: [(lease: ControlID, bytes: Int)] = []
            for index in leases.indices where rest > 0 {
                let part = min(rest, leases[index].free(now: now))
                guard part > 0 else { continue }
                leases[index].reserved += part
                parts.append((leases[index].id, part))
                rest -= part
            }
            reservations[id] = Reservation(key: key, bytes: bytes, parts: parts)
            return true
        }

        mutating func end(_ id: UInt64, isStored: Bool, now: Duration) {
            guard let reservation = reservations.removeValue(forKey: id) else { return }
            for part in reservation.parts {
                // It may be one of a session that is over.
                guard let index = leases.firstIndex(where: { $0.id == part.lease }) else { continue }
                leases[index].reserved -= part.bytes
                if isStored { leases[index].used += part.bytes }
            }
            if isStored {
                stored += reservation.bytes
                meter.add(reservation.bytes, now: now)
                records.append(ObjectRecord(key: reservation.key.path, length: reservation.bytes))
            }
            settle(now: now)
        }

        /// Whether this machine leases what it stores. Otherwise whoever stores for it does, and nothing is kept from others.
        mutating func setLeasing(_ isLeasing: Bool) {
            self.isLeasing = isLeasing
        }

        /// Stored without a lease.
        mutating func note(_ record: ObjectRecord) {
            stored += record.length
            records.append(record)
        }

        /// Whoever waited waits no more.
        mutating func cancel(_ id: UInt64) {
            waiters.removeAll { $0.id == id }
        }

        /// Leases of which nothing can be taken any more, and nothing is under way.
        private mutating func settle(now: Duration) {
            settled += leases.filter { $0.reserved == 0 && $0.free(now: now) == 0 }
                .map { LeaseSettlement(lease: $0.id, used: $0.used) }
            leases.removeAll { $0.reserved == 0 && $0.free(now: now) == 0 }
        }

        // MARK: The provider

        /// - Returns: what became of those that waited.
        mutating func update(session: ControlID?, quota: QuotaState?, isReturnAsked: Bool) {
            if let session, session != self.session {
                // The leases of the session before went with it.
                leases = []
                settled = []
                self.session = session
            }
            if isReturnAsked { self.isReturnAsked = true }
            guard let quota else { return }
            self.quota = quota
            if let before = freeWhenRefused, quota.free.map({ $0 > before }) ?? true { relax() }
        }

        private mutating func relax() {
            tightSince = nil
            refused = nil
            freeWhenRefused = nil
        }

        mutating func next(now: Duration) -> Work? {
            guard !isBusy, session != nil, failure == nil else { return nil }
            if let tightSince, now - tightSince >= settings.tightTime { relax() }
            settle(now: now)
            // What was stored is reported before its lease is settled.
            if !records.isEmpty, isReturnAsked || records.count >= settings.mostRecords {
                isBusy = true
                return .commit(takeRecords())
            }
            guard let ask = nextAsk(now: now) else { return nil }
            isBusy = true
            if !records.isEmpty { return .commit(takeRecords()) }
            settled = []
            return .lease(ask)
        }

        mutating func takeRecords() -> [ObjectRecord] {
            let batch = Array(records.prefix(ControlAPI.mostKeys))
            records.removeFirst(batch.count)
            return batch
        }

        private mutating func nextAsk(now: Duration) -> Ask? {
            guard isLeasing || !waiters.isEmpty else {
                giveUp { _ in true }
                settle(now: now)
                let request = LeaseRequest(bytes: 0, rate: 0, settled: settled)
                return settled.isEmpty ? nil : Ask(request: request, sent: now, isAhead: false)
            }
            if isReturnAsked {
                isReturnAsked = false
                if let ask = returnUnused(now: now) { return ask }
            }
            let rate = meter.bytesPerSecond(now: now)
            let ahead = max(settings.smallestAhead, rate * settings.secondsAhead)
            // As if those that are about to end were gone: they serve until the new one is there.
            let lasting = leases.filter { now < $0.renews }.reduce(0) { $0 + $1.free(now: now) }
            if let first = waiters.first {
                let need = isTight ? first.bytes + floor(first.key) : waiters.reduce(closingReserve) { $0 + $1.bytes }
                let missing = max(1, need - (isTight ? available(now: now) : lasting))
                return ask(missing + (isTight ? 0 : ahead), rate: rate, now: now, isAhead: !isTight)
            }
            let isEnding = leases.contains { now >= $0.renews && !$0.isGivenUp }
            guard !isTight, isEnding || lasting - closingReserve < max(lastLease, ahead) / 2 else { return nil }
            return ask(max(0, closingReserve - lasting) + ahead, rate: rate, now: now, isAhead: true)
        }

        /// Exchanges what is leased for what is needed.
        private mutating func returnUnused(now: Duration) -> Ask? {
            let need = waiters.reduce(closingReserve) { $0 + $1.bytes }
            guard available(now: now) > need else { return nil }
            giveUp { _ in true }
            settle(now: now)
            // Or it would be taken again at once.
            tightSince = now
            freeWhenRefused = nil
            return ask(need, rate: 0, now: now, isAhead: false)
        }

        private mutating func giveUp(_ isMeant: (Lease) -> Bool) {
            for index in leases.indices where isMeant(leases[index]) { leases[index].isGivenUp = true }
        }

        private func ask(_ bytes: Int, rate: Int, now: Duration, isAhead: Bool) -> Ask {
            let request = LeaseRequest(lease: .random(), bytes: bytes, rate: rate, settled: settled)
            return Ask(request: request, sent: now, isAhead: isAhead)
        }

        mutating func granted(_ answer: LeaseAnswer, to ask: Ask, now: Duration) -> Served {
            isBusy = false
            quota = answer.quota
            refused = nil
            giveUp { now >= $0.renews }
            // A petabyte is more than any session stores; sums of it stay numbers.
            let bytes = min(answer.bytes, 1 << 50)
            if bytes > 0 {
                let life = Duration(saidSeconds: Double(max(0, answer.expiresIn)))
                leases.append(
                    Lease(
                        id: answer.lease ?? ask.request.lease ?? .random(),
                        bytes: bytes,
                        ends: ask.sent + life,
                        renews: ask.sent + life * 2 / 3
                    )
                )
                lastLease = bytes
            }
            settle(now: now)
            return serve(now: now)
        }

        private mutating func serve(now: Duration) -> Served {
            var served = Served()
            var left: [Waiter] = []
            for waiter in waiters {
                // In their order: a small one that overtakes would keep a large one waiting for ever.
                if left.isEmpty, take(waiter.bytes, for: waiter.key, id: waiter.id, now: now) {
                    served.granted.append(waiter.id)
                } else {
                    left.append(waiter)
                }
            }
            waiters = left
            return served
        }

        /// The provider has no room for it.
        mutating func refused(_ ask: Ask, now: Duration) -> Served {
            isBusy = false
            freeWhenRefused = quota?.free ?? 0
            tightSince = now
            // Now what is needed is asked for.
            guard !ask.isAhead, let first = waiters.first else { return Served() }
            refused = first.bytes
            let failed = waiters.filter { $0.bytes >= first.bytes }
            waiters.removeAll { $0.bytes >= first.bytes }
            return Served(failed: failed.map { ($0.id, shortage($0.bytes)) })
        }

        mutating func committed(_ quota: QuotaState) {
            isBusy = false
            self.quota = quota
        }

        /// What was to be sent was not, and is still to be sent.
        mutating func notSent(_ work: Work) {
            isBusy = false
            switch work {
            case .commit(let batch): records = batch + records
            case .lease(let ask):
                settled = ask.request.settled + settled
                // The answer may have been lost, and the lease given: then it goes back unused.
                if let lease = ask.request.lease { settled.append(LeaseSettlement(lease: lease, used: 0)) }
            }
        }

        /// What was sent was for a session that has ended meanwhile.
        mutating func outdated() {
            isBusy = false
        }

        /// Puts back what could not be reported.
        mutating func notReported(_ batch: [ObjectRecord]) {
            records = batch + records
        }

        /// There will be no more leases.
        mutating func failed(_ error: HawserError) -> Served {
            isBusy = false
            failure = error
            defer { waiters = [] }
            return Served(failed: waiters.map { ($0.id, error) })
        }

        /// The last that is sent: everything is settled, whatever is under way counts as used.
        mutating func farewell() -> LeaseRequest? {
            settled += leases.map { LeaseSettlement(lease: $0.id, used: $0.used + $0.reserved) }
            leases = []
            defer { settled = [] }
            return settled.isEmpty ? nil : LeaseRequest(bytes: 0, rate: 0, settled: settled)
        }

        private func shortage(_ bytes: Int) -> HawserError {
            QuotaShortage(asked: bytes, free: quota?.free ?? 0, limit: quota?.limit).error
        }
    }

    /// How far ahead it leases.
    public struct Settings: Sendable {
        /// Bytes kept back for metadata, at the least.
        public var smallestClosingReserve = 32 << 20
        /// Of what was stored, one part in so many is kept back.
        public var closingShare = 50
        /// Seconds of the present rate that are asked for ahead of need. The provider may give up to 30.
        public var secondsAhead = 10
        /// Bytes that are asked for ahead before a rate is known: some packs.
        public var smallestAhead = 64 << 20
        /// How long only what is needed is asked for, unless the provider says earlier that there is more.
        public var tightTime = Duration.seconds(60)
        /// Whether it leases ahead from the beginning; see `QuotaMonitor.setLeasing`.
        public var startsLeasing = true
        /// Objects that are reported together, if no lease is asked for before; up to `ControlAPI.mostKeys`.
        public var mostRecords = 500

        public init() {}
    }
}

/// The numbers behind `quota_exceeded`: it is the error's cause.
public struct QuotaShortage: Error, Hashable, Sendable, CustomStringConvertible {
    /// Bytes of the object that was to be stored.
    public var asked: Int
    /// Bytes that no session has reserved.
    public var free: Int
    /// Bytes; `nil` when the provider did not say.
    public var limit: Int?

    public init(asked: Int, free: Int, limit: Int?) {
        self.asked = asked
        self.free = free
        self.limit = limit
    }

    /// `quotaExceeded`, with what to do.
    public var error: HawserError {
        HawserError(
            .quotaExceeded,
            "The provider's quota is used up: \(asked) bytes are to be stored, \(free) are free and not reserved. Earlier "
                + "snapshots are whole. Make room with «hawser forget --prune», or ask the provider for more.",
            cause: self
        )
    }

    public var description: String {
        "\(asked) bytes asked for, \(free) free" + (limit.map { " of \($0)" } ?? "")
    }
}
