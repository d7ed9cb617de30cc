import Hawser
import HawserTesting
import Testing

@testable import Hawser

@Suite("The state machine of ways to a provider's storage")
struct ProviderStoreMachineTests {
    private typealias Machine = ProviderStore.StateMachine

    private let settings = ProviderStore.Settings()

    private func way(
        _ number: Int,
        _ mode: ConnectionMode,
        fallback: Grant.Fallback = .gateway
    ) -> ProviderWay {
        ProviderWay(
            number: number,
            mode: mode,
            access: mode == .direct ? .sts : nil,
            reason: "",
            fallback: fallback,
            store: MemoryStore(),
            generation: .init()
        )
    }

    private let away = HawserError(.unavailable, "", isRetryable: true)

    private func isOpen(_ machine: inout Machine, at time: Duration = .zero) -> Bool {
        machine.current(now: time) != nil
    }

    @Test("A direct way that fails again and again is avoided for a while, then tried again")
    func fallback() {
        var machine = Machine(settings: settings)
        #expect(!isOpen(&machine) && machine.avoid(now: .zero) == nil)
        let direct = way(1, .direct)
        machine.opened(direct)
        for _ in 1..<settings.failuresBeforeChange {
            #expect(machine.failed(direct, away, attempt: 1, now: .zero) == .fail)
            #expect(isOpen(&machine))
        }
        #expect(machine.failed(direct, away, attempt: 1, now: .zero) == .again)
        #expect(!isOpen(&machine) && machine.avoid(now: .zero) == .direct)
        machine.opened(way(2, .gateway))
        #expect(isOpen(&machine, at: settings.returnAfter - .seconds(1)))
        #expect(!isOpen(&machine, at: settings.returnAfter))
        #expect(machine.avoid(now: settings.returnAfter) == nil)
    }

    @Test("Successes in between forgive failures; without a fallback the same way is opened anew")
    func forgiven() {
        var machine = Machine(settings: settings)
        let direct = way(1, .direct, fallback: .never)
        machine.opened(direct)
        for _ in 0..<10 {
            #expect(machine.failed(direct, away, attempt: 1, now: .zero) == .fail)
            machine.succeeded()
        }
        for _ in 0..<settings.failuresBeforeChange { _ = machine.failed(direct, away, attempt: 1, now: .zero) }
        #expect(!isOpen(&machine) && machine.avoid(now: .zero) == nil)
    }

    @Test("A token that a gateway server does not know, and access that is refused, lead to another grant once")
    func refused() {
        var machine = Machine(settings: settings)
        let gateway = way(1, .gateway)
        machine.opened(gateway)
        #expect(machine.failed(gateway, HawserError(.notSignedIn, ""), attempt: 1, now: .zero) == .again)
        #expect(!isOpen(&machine))
        let direct = way(2, .direct)
        machine.opened(direct)
        let denied = HawserError(.accessDenied, "")
        #expect(machine.failed(direct, denied, attempt: 1, now: .zero) == .again)
        let next = way(3, .direct)
        machine.opened(next)
        #expect(machine.failed(next, denied, attempt: 2, now: .zero) == .fail)
        #expect(isOpen(&machine))
    }

    @Test("What fails on a way that is no longer the one is done again on the other; what is no way's fault is not")
    func late() {
        var machine = Machine(settings: settings)
        let first = way(1, .direct)
        machine.opened(first)
        machine.close()
        machine.opened(way(2, .gateway))
        #expect(machine.failed(first, away, attempt: 1, now: .zero) == .again)
        #expect(machine.failed(first, HawserError(.quotaExceeded, ""), attempt: 1, now: .zero) == .fail)
        #expect(machine.failed(first, away, attempt: 9, now: .zero) == .fail)
        #expect(isOpen(&machine))
    }
}

@Suite("Where a repository at a provider is")
struct ProviderLocationTests {
    @Test("is written provider:NAME, and provider:NAME/REPOSITORY")
    func parsing() throws {
        let one = try RepositoryLocation(parsing: "provider:office")
        #expect(one.provider == ProviderLocation(profile: "office") && one.access == .remote)
        #expect(one.description == "provider:office")
        let named = try ProviderLocation(parsing: "provider:office/cold store")
        #expect(named == ProviderLocation(profile: "office", repository: "cold store"))
        for text in ["provider:", "provider:/x", "provider:a/", "provider:.x", "provider:ü"] {
            #expect(throws: HawserError.self, "\(text)") { try RepositoryLocation(parsing: text) }
        }
    }
}
