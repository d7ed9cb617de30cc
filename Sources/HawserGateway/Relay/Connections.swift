import HawserNetwork
import NIOConcurrencyHelpers
import NIOCore

/// The clients' channels that are open, counted and limited, and closed when the relay stops.
final class Connections: Sendable {
    private struct State {
        var admission: Admission
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isStopping = false
        var empty: EventLoopPromise<Void>?
    }

    private let state: NIOLockedValueBox<State>
    private let metrics: RelayMetrics

    init(_ limits: CloudGateway.Limits, metrics: RelayMetrics) {
        state = NIOLockedValueBox(State(admission: Admission(limits)))
        self.metrics = metrics
    }

    var count: Int { state.withLockedValue { $0.channels.count } }
    var channels: [any Channel] { state.withLockedValue { Array($0.channels.values) } }
    var isStopping: Bool { state.withLockedValue { $0.isStopping } }

    /// `nil` when the connection may stay; it leaves by itself when it is closed.
    func enter(_ channel: any Channel, _ address: IPAddress, now: NIODeadline) -> AdmissionRefusal? {
        let id = ObjectIdentifier(channel)
        let refusal: AdmissionRefusal? = state.withLockedValue { state in
            guard !state.isStopping else { return .stopping }
            if let refusal = state.admission.enter(address, now: now) { return refusal }
            state.channels[id] = channel
            return nil
        }
        guard refusal == nil else { return refusal }
        metrics.opened()
        channel.closeFuture.whenComplete { [self] _ in
            metrics.closed()
            let empty: EventLoopPromise<Void>? = state.withLockedValue { state in
                state.admission.leave(address)
                state.channels[id] = nil
                return state.channels.isEmpty ? state.empty.take() : nil
            }
            empty?.succeed()
        }
        return nil
    }

    /// Lets nobody in any more. Done when all are gone.
    func stop(on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        let isEmpty = state.withLockedValue { state in
            state.isStopping = true
            if !state.channels.isEmpty { state.empty = promise }
            return state.channels.isEmpty
        }
        if isEmpty { promise.succeed() }
        return promise.futureResult
    }

    func closeAll() {
        let channels = state.withLockedValue { state in
            state.isStopping = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.close(promise: nil) }
    }
}

extension Optional {
    fileprivate mutating func take() -> Wrapped? {
        let value = self
        self = nil
        return value
    }
}
