import Foundation
import HawserFormat
import HawserStorage
import HawserTestServer
import HawserTesting
import Synchronization
import Testing

@testable import HawserS3

/// Reads the whole memory of this process from outside, as root, and looks for the secret.
@Suite("The memory of a program with a vault", .serialized)
struct VaultMemoryTests {
    private static let search = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../scripts/search-memory").standardizedFileURL.path

    /// Forms of the secret in this process's memory. It goes there masked, so that it is nowhere in clear because of this.
    private static func scan(_ masked: [UInt8]) throws -> [String] {
        let process = Process()
        process.executableURL = URL(filePath: search)
        process.arguments = [String(ProcessInfo.processInfo.processIdentifier)]
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        let hidden = masked.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        try input.fileHandleForWriting.write(contentsOf: Data(hidden.utf8))
        try input.fileHandleForWriting.close()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        var lines = text.split(separator: "\n").map(String.init)
        let read = lines.popLast() ?? ""
        // It did read this process.
        #expect(read.hasPrefix("read "))
        #expect((Int(read.dropFirst(5)) ?? 0) > 1 << 20)
        return lines
    }

    private static let isRoot = geteuid() == 0

    /// Forty letters that nobody has seen, masked.
    private static func makeMasked() -> [UInt8] {
        (0..<40).map { _ in UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z")) ^ 0xA5 }
    }

    private static func credentials(_ masked: [UInt8]) -> S3Credentials {
        withUnsafeTemporaryAllocation(byteCount: masked.count, alignment: 1) { clear in
            for (index, byte) in masked.enumerated() { clear[index] = byte ^ 0xA5 }
            defer { for index in clear.indices { clear[index] = 0 } }
            return S3Credentials(accessKeyID: "AKTEST", secretAccessKey: Secret(copying: UnsafeRawBufferPointer(clear)))
        }
    }

    @Test(
        "has the secret in it while a request is signed, and else nowhere, in no form",
        .enabled(if: isRoot, "only root may read the memory of a process")
    )
    func search() async throws {
        let masked = Self.makeMasked()
        let issuer = TestIssuer(lifetime: .seconds(900)) { _ in Self.credentials(masked) }
        let vault = try issuer.vault()
        // The search does find it: at the one moment when it is there.
        let during = try await vault.withCredentials { _ in try Self.scan(masked) }
        #expect(during.contains { $0.hasPrefix("found clear") })
        try await withS3TestServer { server in
            try await withStore(try S3Endpoint(parsing: server.endpoint), credentials: vault) { store in
                for round in 0..<3 as Range<UInt64> {
                    for seed in 0..<20 as Range<UInt64> {
                        let object = TestObject(length: 1000, seed: round * 100 + seed)
                        // The server has another secret for this key: what counts here is that it was signed.
                        _ = try? await store.put(object.key, object.bytes, sha256: object.sha256)
                    }
                    await vault.outdate()
                    let found = try Self.scan(masked)
                    #expect(found == [])
                }
            }
        }
        #expect(issuer.count > 1)
    }
}
