import Testing

@testable import HawserGateway

typealias Actions = RelayState.Actions

struct RelayStateTests {
    static func started() -> RelayState {
        var state = RelayState()
        _ = state.start()
        return state
    }

    @Test func startFlushesTheHelloAndReadsBothEnds() {
        var state = RelayState()
        #expect(state.readCompleted(.client) == [])
        #expect(state.start() == [.flush(.backend), .read(.client), .read(.backend)])
        #expect(state.start() == [])
    }

    @Test(arguments: [RelayState.Side.client, .backend])
    func readsGoOnWhileTheOtherEndTakesThem(side: RelayState.Side) {
        var state = Self.started()
        #expect(state.readCompleted(side) == [.flush(side.other), .read(side)])
    }

    @Test(arguments: [RelayState.Side.client, .backend])
    func slowReaderStopsTheOtherEndAndOnlyThat(side: RelayState.Side) {
        var state = Self.started()
        #expect(state.writabilityChanged(side.other, isWritable: false) == [])
        #expect(state.readCompleted(side) == .flush(side.other))
        #expect(state.readCompleted(side.other) == [.flush(side), .read(side.other)])
        #expect(state.writabilityChanged(side.other, isWritable: true) == .read(side))
        // Once: a read is under way.
        #expect(state.writabilityChanged(side.other, isWritable: true) == [])
    }

    @Test func startWaitsForASlowBackend() {
        var state = RelayState()
        #expect(state.writabilityChanged(.backend, isWritable: false) == [])
        #expect(state.start() == [.flush(.backend), .read(.backend)])
        #expect(state.writabilityChanged(.backend, isWritable: true) == .read(.client))
    }

    @Test(arguments: [RelayState.Side.client, .backend])
    func halfCloseGoesAfterTheBytesAndLeavesTheOtherDirection(side: RelayState.Side) {
        var state = Self.started()
        #expect(state.inputEnded(side) == .drain(side.other))
        #expect(state.inputEnded(side) == [])
        #expect(!state.canForward(from: side))
        #expect(state.canForward(from: side.other))
        #expect(state.readCompleted(side.other) == [.flush(side), .read(side.other)])
        #expect(state.drained(side.other) == .shutDown(side.other))
        #expect(state.drained(side.other) == [])
        // Nothing is read any more from the end that is done.
        #expect(state.readCompleted(side) == .flush(side.other))
        // Then the other direction ends: both are closed.
        #expect(state.inputEnded(side.other) == .drain(side))
        #expect(state.drained(side) == .close(side))
        #expect(state.closed(side) == .close(side.other))
        #expect(state.closed(side.other) == .finish)
        #expect(state.closed(side.other) == [])
    }

    @Test func bothEndBeforeEitherIsDrained() {
        var state = Self.started()
        #expect(state.inputEnded(.client) == .drain(.backend))
        #expect(state.inputEnded(.backend) == .drain(.client))
        #expect(state.drained(.backend) == .close(.backend))
        // The client still gets what was read before.
        #expect(state.closed(.backend) == [])
        #expect(state.drained(.client) == .close(.client))
        #expect(state.closed(.client) == .finish)
    }

    @Test func endThatIsGoneAfterItsLastByteLetsTheOtherReadIt() {
        var state = Self.started()
        #expect(state.inputEnded(.backend) == .drain(.client))
        // The client wrote once more, and was answered by a reset.
        #expect(state.closed(.backend) == [])
        #expect(!state.canForward(from: .client))
        #expect(state.readCompleted(.client) == .flush(.backend))
        #expect(state.drained(.client) == .close(.client))
        #expect(state.closed(.client) == .finish)
    }

    @Test(arguments: [RelayState.Side.client, .backend])
    func resetEndsBoth(side: RelayState.Side) {
        var state = Self.started()
        #expect(state.closed(side) == .close(side.other))
        #expect(state.closed(side.other) == .finish)
    }

    @Test func abortEndsWhatIsOpen() {
        var state = Self.started()
        #expect(state.aborted() == [.close(.client), .close(.backend)])
        _ = state.closed(.client)
        #expect(state.aborted() == .close(.backend))
    }

    @Test func closedBeforeTheStart() {
        var state = RelayState()
        #expect(state.closed(.client) == .close(.backend))
        #expect(state.closed(.backend) == .finish)
    }

    /// Whatever the order of events, an end is never read twice at once, never written to after its end, and both are
    /// closed in the end.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func randomEvents(seed: UInt64) {
        var generator = SystemlessGenerator(seed: seed)
        var state = RelayState()
        var model = Model()
        model.apply(state.start(), seed)
        for _ in 0..<100 where !model.isFinished {
            let side: RelayState.Side = generator.next() % 2 == 0 ? .client : .backend
            switch generator.next() % 12 {
            case 0..<5 where model.isReading(side):
                model.readDone(side)
                model.apply(state.readCompleted(side), seed)
            case 5..<9 where model.isOpen(side):
                model.apply(state.writabilityChanged(side, isWritable: generator.next() % 2 == 0), seed)
            case 9 where model.isOpen(side):
                model.readDone(side)
                model.apply(state.inputEnded(side), seed)
            case 10 where model.isDraining(side):
                model.drainDone(side)
                model.apply(state.drained(side), seed)
            case 11 where generator.next() % 4 == 0 && model.isOpen(side):
                model.close(side)
                model.apply(state.closed(side), seed)
            default: break
            }
            // What was told to close, closes.
            for side in model.takeClosing() { model.apply(state.closed(side), seed) }
        }
        model.apply(state.aborted(), seed)
        for side in model.takeClosing() { model.apply(state.closed(side), seed) }
        for side in model.takeClosing() { model.apply(state.closed(side), seed) }
        #expect(model.isFinished, "seed \(seed)")
    }
}

private struct SystemlessGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state >> 8
    }
}

/// What the channels would do.
private struct Model {
    private struct End {
        var isOpen = true
        var isReading = false
        var isDraining = false
        var isShutDown = false
        var isClosing = false
    }

    private var ends: [RelayState.Side: End] = [.client: End(), .backend: End()]
    private(set) var isFinished = false

    func isOpen(_ side: RelayState.Side) -> Bool { ends[side]?.isOpen == true }
    func isReading(_ side: RelayState.Side) -> Bool { isOpen(side) && ends[side]?.isReading == true }
    func isDraining(_ side: RelayState.Side) -> Bool { isOpen(side) && ends[side]?.isDraining == true }
    mutating func readDone(_ side: RelayState.Side) { ends[side]?.isReading = false }
    mutating func drainDone(_ side: RelayState.Side) { ends[side]?.isDraining = false }
    mutating func close(_ side: RelayState.Side) { ends[side]?.isOpen = false }

    mutating func takeClosing() -> [RelayState.Side] {
        let closing = ends.filter { $0.value.isClosing && $0.value.isOpen }.map(\.key)
        for side in closing { ends[side]?.isOpen = false }
        return closing
    }

    mutating func apply(_ actions: Actions, _ seed: UInt64) {
        for side in [RelayState.Side.client, .backend] {
            if actions.contains(.read(side)) {
                #expect(ends[side]?.isReading == false && isOpen(side), "seed \(seed)")
                ends[side]?.isReading = true
            }
            if actions.contains(.drain(side)) {
                #expect(ends[side]?.isDraining == false && ends[side]?.isShutDown == false, "seed \(seed)")
                ends[side]?.isDraining = true
            }
            if actions.contains(.shutDown(side)) {
                #expect(ends[side]?.isShutDown == false && isOpen(side), "seed \(seed)")
                ends[side]?.isShutDown = true
            }
            if actions.contains(.close(side)) { ends[side]?.isClosing = true }
        }
        if actions.contains(.finish) {
            #expect(!isFinished, "seed \(seed)")
            isFinished = true
        }
    }
}
