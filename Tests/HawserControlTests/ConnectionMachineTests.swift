import HawserFormat
import Testing

@testable import HawserControl

@Suite("The state machine of a connection")
struct ConnectionMachineTests {
    private typealias Machine = ProviderConnection.StateMachine
    private let gateways = ["a:1", "b:1", "c:1"].compactMap { GatewayAddress($0) }
    private let session = ProviderConnection.Session(id: .random(), token: "t")
    private let broken = HawserError(.unavailable, "", isRetryable: true)

    private func machine() -> Machine { Machine(gateways: gateways, settings: .init()) }

    /// An action as text, so that it can be compared.
    private func text(_ action: Machine.Action) -> String {
        switch action {
        case .signIn(let gateway): "sign in \(gateway)"
        case .follow(let session, let gateway): session == self.session ? "follow \(gateway)" : "follow another"
        case .pause(let duration): "pause \(duration / .seconds(1))"
        case .stop(let error): "stop \(error.code)"
        }
    }

    private func text(_ state: Machine.State) -> String {
        switch state {
        case .idle: "idle"
        case .signingIn: "signing in"
        case .resuming: "resuming"
        case .connected: "connected"
        case .pausing(let session): session == nil ? "pausing" : "pausing with a session"
        case .ended: "ended"
        }
    }

    @Test("signs in, follows, and takes the session up through the next gateway when it breaks")
    func life() {
        var machine = machine()
        #expect(text(machine.state) == "idle")
        #expect(text(machine.start(now: .zero)) == "sign in a:1")
        #expect(text(machine.state) == "signing in")
        #expect(text(machine.signedIn(session, gateways: [])) == "follow a:1")
        #expect(text(machine.state) == "connected")
        #expect(text(machine.failed(broken, now: .seconds(5), random: 0.5)) == "pause 0.5")
        #expect(text(machine.state) == "pausing with a session")
        #expect(text(machine.woke()) == "follow b:1")
        #expect(text(machine.state) == "resuming")
        #expect(text(machine.failed(broken, now: .seconds(6), random: 0.5)) == "pause 1.0")
        #expect(text(machine.woke()) == "follow c:1")
        machine.opened(session)
        #expect(text(machine.state) == "connected")
    }

    @Test(
        "pauses with full jitter up to a bound that doubles from 1 to 30 s, and begins anew once a connection has held"
    )
    func backoff() {
        var machine = machine()
        _ = machine.start(now: .zero)
        _ = machine.signedIn(session, gateways: [])
        let pauses = (0..<8).map { _ in
            defer { _ = machine.woke() }
            return text(machine.failed(broken, now: .zero, random: 1))
        }
        #expect(pauses == [1, 2, 4, 8, 16, 30, 30, 30].map { "pause \(Double($0))" })
        machine.opened(session)
        #expect(text(machine.failed(broken, now: .zero, random: 1)) == "pause 30.0")
        _ = machine.woke()
        machine.opened(session)
        machine.proved()
        #expect(text(machine.failed(broken, now: .zero, random: 1)) == "pause 1.0")
        // What the server asks for comes on top, within reason.
        var asked = broken
        asked.retryAfter = .seconds(10)
        _ = machine.woke()
        #expect(text(machine.failed(asked, now: .zero, random: 0)) == "pause 10.0")
        asked.retryAfter = .seconds(1e9)
        _ = machine.woke()
        #expect(text(machine.failed(asked, now: .zero, random: 0)) == "pause 300.0")
    }

    @Test("opens a new session when the old one is over, at once but not again and again")
    func sessionOver() {
        for code in [HawserError.Code.sessionOver, .notSignedIn] {
            var machine = machine()
            _ = machine.start(now: .zero)
            _ = machine.signedIn(session, gateways: [])
            let over = HawserError(code, "")
            #expect(text(machine.failed(over, now: .zero, random: 1)) == "sign in a:1", "\(code)")
            #expect(text(machine.signedIn(session, gateways: [])) == "follow a:1")
            #expect(text(machine.failed(over, now: .zero, random: 1)) == "pause 2.0")
            #expect(text(machine.state) == "pausing")
            #expect(text(machine.woke()) == "sign in a:1")
        }
        var machine = machine()
        _ = machine.start(now: .zero)
        _ = machine.signedIn(session, gateways: [])
        _ = machine.failed(broken, now: .zero, random: 0)
        _ = machine.woke()
        #expect(text(machine.state) == "resuming")
        machine.opened(session)
        machine.proved()
        #expect(text(machine.failed(HawserError(.sessionOver, ""), now: .zero, random: 1)) == "sign in b:1")
    }

    @Test("tries a refused sign-in once more: a server that restarted has forgotten its nonces")
    func refusal() {
        let refused = HawserError(.notSignedIn, "")
        var machine = machine()
        _ = machine.start(now: .zero)
        #expect(text(machine.failed(refused, now: .zero, random: 1)) == "pause 1.0")
        #expect(text(machine.woke()) == "sign in a:1")
        #expect(text(machine.failed(refused, now: .zero, random: 1)) == "stop not_signed_in")
        #expect(text(machine.state) == "ended")
    }

    @Test(
        "ends at what trying again can't help",
        arguments: [HawserError.Code.revoked, .tenantDisabled, .leaseOver, .unsupported, .tooManySessions]
    )
    func fatal(code: HawserError.Code) {
        for isConnected in [false, true] {
            var machine = machine()
            _ = machine.start(now: .zero)
            if isConnected { _ = machine.signedIn(session, gateways: []) }
            #expect(text(machine.failed(HawserError(code, ""), now: .zero, random: 1)) == "stop \(code)")
            #expect(text(machine.state) == "ended")
        }
        // Maintenance with an end is waited for.
        var machine = machine()
        _ = machine.start(now: .zero)
        let later = ControlProblem(code, "", retryAfter: 5).error
        #expect(text(machine.failed(later, now: .zero, random: 0)) == "pause 5.0")
    }

    @Test("gives up the first session after half a minute, a later one after an hour")
    func patience() {
        var machine = machine()
        _ = machine.start(now: .zero)
        #expect(text(machine.failed(broken, now: .seconds(29), random: 0)) == "pause 0.0")
        _ = machine.woke()
        #expect(text(machine.failed(broken, now: .seconds(30), random: 0)) == "stop unavailable")

        // Who is asked to wait for longer than that hears why at once.
        machine = self.machine()
        _ = machine.start(now: .zero)
        let closed = ControlProblem(.maintenance, "back at 12", retryAfter: 60).error
        #expect(text(machine.failed(closed, now: .zero, random: 0)) == "stop maintenance")

        machine = self.machine()
        _ = machine.start(now: .zero)
        _ = machine.signedIn(session, gateways: [])
        #expect(text(machine.failed(broken, now: .seconds(1000), random: 0)) == "pause 0.0")
        _ = machine.woke()
        #expect(text(machine.failed(broken, now: .seconds(4599), random: 0)) == "pause 0.0")
        _ = machine.woke()
        #expect(text(machine.failed(broken, now: .seconds(4600), random: 0)) == "stop unavailable")
    }

    @Test("comes back to the same gateway when the server asks for a pause")
    func asked() {
        var machine = machine()
        _ = machine.start(now: .zero)
        _ = machine.signedIn(session, gateways: [])
        #expect(text(machine.asked(toComeBackAfter: 7.5, now: .zero)) == "pause 7.5")
        #expect(text(machine.woke()) == "follow a:1")
        machine.opened(session)
        for odd in [-1, Double.infinity, -.infinity, .nan, 1e300] {
            let pause = text(machine.asked(toComeBackAfter: odd, now: .zero))
            #expect(pause == "pause 0.0" || pause == "pause 300.0", "\(odd): \(pause)")
            _ = machine.woke()
            machine.opened(session)
        }
    }

    @Test("uses the gateways that the server names, and stays with the one in use")
    func gatewayList() {
        var machine = machine()
        _ = machine.start(now: .zero)
        _ = machine.failed(broken, now: .zero, random: 0)
        #expect(text(machine.woke()) == "sign in b:1")
        let new = ["x:1", "b:1", "y:1"].compactMap { GatewayAddress($0) }
        #expect(text(machine.signedIn(session, gateways: new)) == "follow b:1")
        _ = machine.failed(broken, now: .zero, random: 0)
        #expect(text(machine.woke()) == "follow y:1")
        _ = machine.failed(broken, now: .zero, random: 0)
        #expect(text(machine.woke()) == "follow x:1")
    }
}
