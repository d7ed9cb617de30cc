/// What is known of the two ends of one relayed connection, and what has to happen next. Pure: it does no I/O, and every
/// change is made before the actions that it returns are carried out, so that they can call back at any time.
///
/// Rules: an end is read only while the other one can be written; the end of one direction is passed on when everything
/// before it has been written; the other direction goes on; an error ends both.
struct RelayState {
    enum Side {
        case client, backend

        var other: Side { self == .client ? .backend : .client }
    }

    /// For both ends in one small value, since one is returned for each read.
    struct Actions: OptionSet, Equatable {
        var rawValue: UInt16

        static func flush(_ side: Side) -> Actions { bit(0, side) }
        static func read(_ side: Side) -> Actions { bit(1, side) }
        /// Report by `drained` when everything that was written so far is gone.
        static func drain(_ side: Side) -> Actions { bit(2, side) }
        /// Close the direction to this end.
        static func shutDown(_ side: Side) -> Actions { bit(3, side) }
        static func close(_ side: Side) -> Actions { bit(4, side) }
        /// Both ends are closed; nothing follows.
        static let finish = Actions(rawValue: 1 << 10)

        private static func bit(_ number: UInt16, _ side: Side) -> Actions {
            Actions(rawValue: 1 << (number * 2 + (side == .client ? 0 : 1)))
        }
    }

    private struct End {
        /// Can transition to: draining.
        enum Output { case open, draining, ended }

        var isOpen = true
        var isWritable = true
        /// No read is under way; one begins when the other end can be written.
        var isPaused = true
        var inputEnded = false
        /// open → draining (the other end's input has ended) → ended.
        var output = Output.open
        /// The other end is gone: close when drained.
        var closesWhenDrained = false
    }

    private var client = End()
    private var backend = End()
    private(set) var hasStarted = false

    private subscript(side: Side) -> End {
        get { side == .client ? client : backend }
        set {
            switch side {
            case .client: client = newValue
            case .backend: backend = newValue
            }
        }
    }

    /// Whether bytes from this end have somewhere to go.
    func canForward(from side: Side) -> Bool {
        self[side.other].isOpen && self[side.other].output == .open
    }

    /// The ClientHello has been written to the backend: both directions run from here on.
    mutating func start() -> Actions {
        guard !hasStarted else { return [] }
        hasStarted = true
        return [.flush(.backend), resume(.client), resume(.backend)]
    }

    mutating func readCompleted(_ side: Side) -> Actions {
        guard hasStarted else { return [] }
        self[side].isPaused = true
        return [.flush(side.other), resume(side)]
    }

    mutating func writabilityChanged(_ side: Side, isWritable: Bool) -> Actions {
        self[side].isWritable = isWritable
        guard hasStarted, isWritable else { return [] }
        return resume(side.other)
    }

    mutating func inputEnded(_ side: Side) -> Actions {
        guard !self[side].inputEnded else { return [] }
        self[side].inputEnded = true
        guard self[side.other].isOpen, self[side.other].output == .open else { return [] }
        self[side.other].output = .draining
        return .drain(side.other)
    }

    mutating func drained(_ side: Side) -> Actions {
        guard self[side].isOpen, self[side].output == .draining else { return [] }
        self[side].output = .ended
        // Nothing can come any more from an end whose input has ended. And NIO would drop pending bytes if it were asked to
        // close the output of such a channel, so the order is: written, then closed.
        return self[side].closesWhenDrained || self[side].inputEnded ? .close(side) : .shutDown(side)
    }

    /// An end is gone: by its peer, by an error, or because it was told to close.
    mutating func closed(_ side: Side) -> Actions {
        guard self[side].isOpen else { return [] }
        self[side].isOpen = false
        let other = self[side.other]
        guard other.isOpen else { return .finish }
        // After an orderly end of its bytes they are still to reach the other end.
        if self[side].inputEnded, other.output == .draining {
            self[side.other].closesWhenDrained = true
            return []
        }
        return .close(side.other)
    }

    /// An error, or the end of patience.
    func aborted() -> Actions {
        [client.isOpen ? .close(.client) : [], backend.isOpen ? .close(.backend) : []]
    }

    private mutating func resume(_ side: Side) -> Actions {
        let end = self[side]
        guard end.isPaused, end.isOpen, !end.inputEnded, self[side.other].isWritable, canForward(from: side) else {
            return []
        }
        self[side].isPaused = false
        return .read(side)
    }
}
