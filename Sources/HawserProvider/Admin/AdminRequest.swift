#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// One of the provider's commands, as it travels to the server: `POST /admin/v1/<operation>` with this as JSON.
public protocol AdminRequest: Codable, Sendable {
    associatedtype Answer: Codable & Sendable

    /// Such as `tenant.add`.
    static var operation: String { get }

    func run(_ service: AdminService) async throws -> Answer
}

/// Carries commands to whoever does them: a running server behind its socket, or `AdminService` in this process.
public protocol AdminTransport: Sendable {
    /// - Parameter body: JSON of the operation's request.
    /// - Returns: JSON of its answer.
    /// - Throws: the `HawserError` of the operation; `notFound` for one that is not known.
    func perform(_ operation: String, _ body: Data) async throws -> Data
}

extension AdminTransport {
    public func perform<Request: AdminRequest>(_ request: Request) async throws -> Request.Answer {
        let answer = try await perform(Request.operation, try adminEncoder().encode(request))
        return try JSONDecoder().decode(Request.Answer.self, from: answer)
    }
}

/// Nothing to tell.
public struct AdminDone: Codable, Sendable, Hashable {
    public init() {}
}

/// A field that is to be changed; `value` `nil` removes what was there.
public struct AdminChange<Value: Codable & Sendable & Hashable>: Codable, Sendable, Hashable {
    public var value: Value?

    public init(_ value: Value?) {
        self.value = value
    }
}

func adminEncoder() -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
}
