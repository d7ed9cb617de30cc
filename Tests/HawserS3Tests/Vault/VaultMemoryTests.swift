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
    /// What it prints: where a form of the secret was found, a line each, and how many bytes were read.
    ///
    /// The secret comes masked, so that it is nowhere in this process in clear because of the test.
    private static let scanner = """
        import base64, re, sys
        pid, masked = sys.argv[1], bytes.fromhex(sys.argv[2])
        secret = bytes(byte ^ 0xA5 for byte in masked)
        text = secret.decode()
        # base64 of text at each offset to a group of three, without the ends that depend on what is beside it
        needles = {"clear": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode(),
                   "utf-16": text.encode("utf-16-le"), "utf-16-be": text.encode("utf-16-be")}
        for shift in range(3):
            encoded = base64.b64encode(b"\\0" * shift + secret)
            needles["base64-%d" % shift] = encoded[4 if shift else 0:-4]
        total, memory = 0, open("/proc/%s/mem" % pid, "rb", 0)
        for line in open("/proc/%s/maps" % pid):
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw.. ", line)
            if not match: continue
            start, end = (int(part, 16) for part in match.groups())
            tail = b""
            while start < end:
                try:
                    memory.seek(start)
                    block = memory.read(min(end - start, 16 << 20))
                except (OSError, ValueError, OverflowError):
                    break
                if not block: break
                start += len(block)
                total += len(block)
                block = tail + block
                for name, needle in needles.items():
                    if needle in block: print("found", name, line.strip())
                tail = block[-256:]
        print("read", total)
        """

    /// Forms of the secret in this process's memory.
    private static func scan(_ masked: [UInt8]) throws -> [String] {
        let number = String(ProcessInfo.processInfo.processIdentifier)
        let hidden = masked.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let process = try ChildProcess(
            ["python3", "-c", scanner, number, hidden].map { Array($0.utf8) },
            environment: ChildProcess.environment { _ in false }
        )
        let output = FileHandle(fileDescriptor: process.output, closeOnDealloc: true)
        let text = String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
        #expect(process.wait() == .exit(0))
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
