import HawserS3

/// An endpoint on loopback that answers as a test says, and remembers what it was asked: `StubServer` for those who give
/// credentials.
struct LoopbackEndpoint: Sendable {
    struct Question: Sendable {
        var method: String
        /// With the query.
        var path: String
        /// Names in small letters.
        var headers: [String: String]
        var body: String

        fileprivate init(_ request: StubServer.Request) {
            method = request.method
            path = request.target
            headers = request.headers
            body = String(decoding: request.body, as: UTF8.self)
        }
    }

    struct Answer: Sendable {
        var status: Int
        var body: String

        init(_ status: Int = 200, _ body: String = "") {
            self.status = status
            self.body = body
        }
    }

    private let server: StubServer

    var url: String { server.endpoint.description }
    var questions: [Question] { server.requests.map(Question.init) }

    /// Gives the same answer to everything.
    static func with(_ answer: Answer, _ body: (LoopbackEndpoint) async throws -> Void) async throws {
        try await with({ _ in answer }, body)
    }

    static func with(
        _ answer: @escaping @Sendable (Question) -> Answer,
        _ body: (LoopbackEndpoint) async throws -> Void
    ) async throws {
        let react: StubServer.React = { request in
            let answer = answer(Question(request))
            return .answer(answer.status, body: Array(answer.body.utf8))
        }
        try await StubServer.run(react) { try await body(LoopbackEndpoint(server: $0)) }
    }
}
