import AsyncHTTPClient
import HTTPTypes
import HawserControl
import HawserFormat
import HawserNetwork
import NIOCore
import NIOHTTP1
import Testing

@testable import HawserProvider

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct LimitTests {
    @Test func aBodyThatIsTooLargeIsRefusedWithAReason() async throws {
        try await withProvider { _, client in
            for size in [ControlAPI.largestRequest + 1, 3 * ControlAPI.largestRequest] {
                let answer = try await client.send(.POST, ControlAPI.devices, body: Data(repeating: 32, count: size))
                #expect(answer.status == 413)
                #expect(answer.code == "request_too_large")
            }
            // Without a length, in chunks.
            var request = client.request(.POST, ControlAPI.devices)
            let parts = AsyncStream<ByteBuffer> { parts in
                for _ in 0..<5 { parts.yield(ByteBuffer(repeating: 32, count: 64 << 10)) }
                parts.finish()
            }
            request.body = .stream(parts, length: .unknown)
            #expect(try await client.send(request).code == "request_too_large")
            let after = try await client.send(.POST, ControlAPI.nonces)
            #expect(after.status == 200)
        }
    }

    @Test(arguments: 0..<malformed.count)
    func malformedRequestsGetATypedAnswer(_ index: Int) async throws {
        let body = malformed[index]
        try await withProvider { provider, client in
            let session = try await client.signIn()
            for operation in ControlOperation.allCases
            where operation.method == .post && operation != .makeNonce && !operation.needsGateway {
                let path = operation.template.replacing("{id}", with: provider.repository.text)
                let answer = try await client.send(.POST, path, token: session.token, body: Data(body.utf8))
                #expect(answer.status == 400, "\(operation)")
                #expect(answer.code == "invalid_argument")
            }
            let after = try await client.send(.POST, ControlAPI.nonces)
            #expect(after.status == 200)
        }
    }

    @Test func fieldsThatAreNotKnownAreIgnored() async throws {
        try await withProvider { provider, client in
            let session = try await client.signIn()
            let body = Data(#"{"bytes":10,"rate":0,"settled":[],"later":{"x":[1,2]},"lease":null}"#.utf8)
            let answer = try await client.send(
                .POST,
                ControlAPI.leases(provider.repository),
                token: session.token,
                body: body
            )
            #expect(answer.status == 200)
        }
    }

    @Test func unknownPathsAndMethodsGetATypedAnswer() async throws {
        try await withProvider { _, client in
            let unknown = try await client.send(.GET, "/v1/nothing")
            #expect(unknown.status == 404)
            #expect(unknown.code == "not_found")
            let method = try await client.send(.PUT, ControlAPI.sessions)
            #expect(method.status == 405)
            #expect(method.code == "wrong_method")
            #expect(method.headers.first(name: "allow") == "POST, GET")
            #expect(try await client.send(.GET, ControlAPI.sessions).headers.first(name: "cache-control") == "no-store")
        }
    }

    @Test func oneAddressIsHeldToItsRate() async throws {
        try await withProvider {
            $0.limits.requestsPerAddress = .init(perSecond: 0.01, burst: 3)
        } _: { _, client in
            for _ in 0..<3 { #expect(try await client.send(.POST, ControlAPI.nonces).status == 200) }
            let refused = try await client.send(.POST, ControlAPI.nonces)
            #expect(refused.status == 429)
            #expect(refused.code == "too_many_requests")
            #expect(refused.headers.first(name: "retry-after").flatMap(Int.init) ?? 0 > 50)
        }
    }

    @Test func oneTenantIsHeldToItsRateAndOthersAreNot() async throws {
        try await withProvider {
            $0.limits.requestsPerTenant = .init(perSecond: 0.01, burst: 2)
        } _: { provider, client in
            let mine = try await client.signIn()
            let second = try await client.signIn()
            let other = try await provider.database.addTenant("other")
            let theirs = try await client.signIn(try await client.register(tenant: other.id))
            func poll(_ session: SessionAnswer) async throws -> Int {
                try await client.send(.GET, ControlAPI.session(session.session), token: session.token).status
            }
            #expect(try await poll(mine) == 200)
            #expect(try await poll(second) == 200)
            #expect(try await poll(mine) == 429)
            #expect(try await poll(second) == 429)
            #expect(try await poll(theirs) == 200)
        }
    }

    @Test func oneMachineIsHeldToItsSignIns() async throws {
        try await withProvider {
            $0.limits.signInsPerDevice = .init(perSecond: 0.01, burst: 2)
        } _: { _, client in
            let (one, two) = (try await client.register(), try await client.register())
            for _ in 0..<2 { _ = try await client.signIn(one) }
            await #expect(throws: (any Error).self) { _ = try await client.signIn(one) }
            _ = try await client.signIn(two)
        }
    }

    @Test func oneTenantIsHeldToItsDeletions() async throws {
        try await withProvider {
            $0.limits.deletionsPerTenant = .init(perSecond: 0.01, burst: 1)
        } _: { provider, client in
            let session = try await client.signIn(purpose: .prune)
            func delete() async throws -> String? {
                let path = ControlAPI.deletions(provider.repository)
                return try await client.post(path, DeletionRequest(keys: []), token: session.token).code
            }
            #expect(try await delete() == "invalid_argument")
            #expect(try await delete() == "too_many_requests")
        }
    }

    @Test func aHeadThatIsTooLongEndsTheConnection() async throws {
        try await withProvider { _, client in
            var request = client.request(.POST, ControlAPI.nonces)
            request.headers.add(name: "x-long", value: String(repeating: "a", count: 40_000))
            // HTTP's own answer, not one of the protocol.
            let status = try? await client.http.execute(request, timeout: .seconds(60)).status
            #expect(status != .ok)
            let after = try await client.send(.POST, ControlAPI.nonces)
            #expect(after.status == 200)
        }
    }

    @Test(arguments: [false, true])
    func connectionsBeyondTheLimitAreClosed(ofAll: Bool) async throws {
        try await withProvider {
            if ofAll { $0.limits.connections = 2 } else { $0.limits.connectionsPerAddress = 2 }
        } _: { provider, client in
            let authorities = try #require(try await CertificateStorage(provider.database).load()).authorities
            let nonce = "POST /v1/nonces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            // Answered, so that they are counted: a connection is there before the server has taken it.
            try await withTLSConnection(client.port, authorities) { first in
                #expect(await first.answer(to: nonce.utf8)?.status == 200)
                try await withTLSConnection(client.port, authorities) { second in
                    #expect(await second.answer(to: nonce.utf8)?.status == 200)
                    try await withRawConnection(client.port) { third in
                        // Closed before TLS began.
                        let count = try await third.readToEnd()
                        #expect(count == 0)
                    }
                }
            }
        }
    }

    @Test func aConnectionThatAsksNothingMoreIsClosed() async throws {
        try await withProvider {
            // Long enough for a first request on a busy machine.
            $0.limits.idle = .seconds(2)
        } _: { provider, client in
            let authorities = try #require(try await CertificateStorage(provider.database).load()).authorities
            try await withTLSConnection(client.port, authorities) { connection in
                let nonce = "POST /v1/nonces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
                #expect(await connection.answer(to: nonce.utf8)?.status == 200)
                #expect(await connection.answer() == nil)
            }
        }
    }

    @Test func aConnectionThatSaysNothingIsClosed() async throws {
        try await withProvider {
            $0.limits.firstHead = .milliseconds(200)
        } _: { provider, client in
            try await withRawConnection(client.port) { silent in
                _ = try await silent.readToEnd()
            }
            #expect(provider.log.lines.contains("notice Connection refused client=127.0.0.1 reason=timeout"))
        }
    }

    @Test func aConnectionThatSpeaksNoTLSIsClosed() async throws {
        try await withProvider { provider, client in
            try await withRawConnection(client.port) { plain in
                try await plain.outbound.write(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
                _ = try await plain.readToEnd()
            }
            #expect(provider.log.lines.contains("notice Connection refused client=127.0.0.1 reason=tls"))
        }
    }

    @Test func aBodyThatComesTooSlowlyEndsTheConnection() async throws {
        try await withProvider {
            $0.limits.body = .milliseconds(300)
        } _: { _, client in
            var request = client.request(.POST, ControlAPI.devices)
            let (parts, part) = AsyncStream.makeStream(of: ByteBuffer.self)
            part.yield(ByteBuffer(string: "{"))
            request.body = .stream(parts, length: .known(Int64(1000)))
            let slow = request
            await #expect(throws: (any Error).self) { _ = try await client.send(slow) }
            part.finish()
            let after = try await client.send(.POST, ControlAPI.nonces)
            #expect(after.status == 200)
        }
    }
}

// By number, as test runners print arguments.
private let malformed = [
    "", "{", "[]", "null", "\"x\"", "{\"device\":1}", "{\"device\":\"zz\"}", "\u{0}\u{1}",
    "{\"code\":\"x\",\"publicKey\":\"!\",\"name\":\"n\"}", "{\"code\":null}",
    String(repeating: "[", count: 100_000), "{\"a\":" + String(repeating: "{\"a\":", count: 20_000),
    "{\"code\":\"\\ud800\"}", "{\"code\":1e999}",
]
