import AsyncHTTPClient
import HawserFormat
import HawserStorage
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension GatewayStore {
    struct Outgoing: Sendable {
        var method: HTTPMethod
        /// With the query.
        var path: String
        var headers: [(String, String)]
        var body: [UInt8]

        init(_ method: HTTPMethod, _ path: String, _ headers: [(String, String)] = [], body: [UInt8] = []) {
            self.method = method
            self.path = path
            self.headers = headers
            self.body = body
        }
    }

    struct Incoming: Sendable {
        var status: HTTPResponseStatus
        var headers: HTTPHeaders
        var body: [UInt8] = []
    }

    /// The way is broken, so that another gateway may help; an answer never is one.
    private struct BrokenWay: Error {
        let error: HawserError
    }

    // Problems have some hundred bytes.
    private static let longestProblem = 32 << 10

    /// - Parameter atMost: bytes of a success.
    @concurrent
    func send(_ request: Outgoing, place: String, atMost limit: Int) async throws -> Incoming {
        try await slots.withTaken {
            let first = current.load(ordering: .relaxed)
            var failure = HawserError(.unavailable, "There is no gateway.", isRetryable: true)
            for offset in clients.indices {
                let index = (first + offset) % clients.count
                do {
                    let answer = try await send(request, through: index, place: place, atMost: limit)
                    if offset > 0 {
                        current.store(index, ordering: .relaxed)
                        logger.notice("Another gateway is used from now on", metadata: ["gateway": "\(index)"])
                    }
                    return answer
                } catch let broken as BrokenWay {
                    failure = broken.error
                    failure.place = place
                }
            }
            throw failure
        }
    }

    private func send(
        _ request: Outgoing,
        through index: Int,
        place: String,
        atMost limit: Int
    ) async throws -> Incoming {
        var prepared = HTTPClientRequest(url: base[index] + request.path)
        prepared.method = request.method
        prepared.headers = HTTPHeaders(
            [("user-agent", "hawser"), ("authorization", "Bearer \(token)")] + request.headers
        )
        let message = prepared
        let client = clients[index]
        let answer: Incoming
        do {
            answer = try await watch.run { note in
                var message = message
                if !request.body.isEmpty {
                    message.body = .stream(
                        UploadBody(request.body, note),
                        length: .known(Int64(request.body.count))
                    )
                }
                // The watch knows no deadline, only standstill.
                let response = try await client.execute(message, deadline: .distantFuture)
                note()
                var answer = Incoming(status: response.status, headers: response.headers)
                guard request.method != .HEAD else { return answer }
                let most = response.status.isSuccess ? limit : Self.longestProblem
                if response.status.isSuccess,
                    let length = response.headers.first(name: "content-length").flatMap({ Int($0) })
                {
                    answer.body.reserveCapacity(min(length, most))
                }
                for try await buffer in response.body {
                    note()
                    guard buffer.readableBytes <= most - answer.body.count else {
                        throw ControlFailure.garbled("answer: it is too long")
                    }
                    answer.body += buffer.readableBytesView
                }
                return answer
            }
        } catch {
            try Task.checkCancellation()
            throw BrokenWay(error: Self.broken(error))
        }
        guard !answer.status.isSuccess, !(request.method == .HEAD && answer.status == .notFound) else { return answer }
        var error = Self.problem(answer, isHead: request.method == .HEAD)
        error.place = place
        throw error
    }

    /// What an answer means that is no success. That to a HEAD has no words.
    private static func problem(_ answer: Incoming, isHead: Bool) -> HawserError {
        let retryAfter = answer.headers.first(name: "retry-after").flatMap(Double.init)
        guard isHead else {
            return ControlFailure.error(
                status: Int(answer.status.code),
                body: Data(answer.body),
                retryAfter: retryAfter
            )
        }
        switch answer.status {
        case .unauthorized:
            return HawserError(.notSignedIn, "The gateway server does not know the token (any more).")
        case .forbidden:
            return HawserError(.accessDenied, "The gateway server refuses this.")
        case .tooManyRequests:
            return HawserError(
                .tooManyRequests,
                "The gateway server has more requests than places.",
                isRetryable: true,
                retryAfter: retryAfter.map { Duration(saidSeconds: $0) }
            )
        default:
            return HawserError(
                .unavailable,
                "The gateway server could not look (HTTP \(answer.status.code)).",
                isRetryable: answer.status.code >= 500,
                retryAfter: retryAfter.map { Duration(saidSeconds: $0) }
            )
        }
    }

    private static func broken(_ error: any Error) -> HawserError {
        controlTransportError(error) as? HawserError
            ?? HawserError(.unavailable, "The connection to the gateway server broke.", cause: error, isRetryable: true)
    }
}

extension HTTPResponseStatus {
    fileprivate var isSuccess: Bool { (200..<300).contains(code) }
}
