/// An implementation does not do what its protocol promises.
public struct ContractViolation: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw ContractViolation(message()) }
}

func requireEqual<Value: Equatable>(_ value: Value, _ expected: Value, _ what: @autoclosure () -> String) throws {
    if value != expected { throw ContractViolation("\(what()): \(value) instead of \(expected)") }
}
