import Crypto
import Foundation
import HawserFormat
import Testing

@testable import HawserControl

/// A folder that is removed with its contents.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "hawser-control-\(UUID())").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite("Profiles of providers")
struct ProfileTests {
    private let scratch: ScratchFolder
    private let folder: ProfileFolder
    private let profile = ProviderProfile(
        domain: "backup.example.com",
        gateways: [GatewayAddress("gw:6180")].compactMap(\.self),
        authorities: [Data([0x30, 0])],
        tenant: "Muster",
        subtenant: "Laptop",
        device: .random(),
        key: .profile(DeviceKey())
    )

    init() throws {
        scratch = try ScratchFolder()
        folder = ProfileFolder(scratch.path + "/config/hawser/providers")
    }

    private func code(_ body: () throws -> Void) -> HawserError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? HawserError)?.code
        }
    }

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }

    @Test("come back from a file that only the user can read")
    func roundTrip() throws {
        try folder.write(profile, as: "office")
        let file = try folder.file(of: "office")
        #expect(try mode(file) == 0o600)
        #expect(try mode(folder.path) == 0o700)
        let read = try folder.read("office")
        #expect(read.domain == profile.domain && read.gateways == profile.gateways && read.device == profile.device)
        #expect(read.tenant == "Muster" && read.subtenant == "Laptop" && read.authorities == profile.authorities)
        guard case .profile(let key) = read.key, case .profile(let original) = profile.key else {
            Issue.record("another place of the key")
            return
        }
        #expect(key.publicKey == original.publicKey)
        #expect(folder.names() == ["office"])
        // Written anew as the provider changes: the mode stays, and nothing else is left behind.
        try folder.write(read, as: "office")
        #expect(try mode(file) == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["office.json"])
        try folder.remove("office")
        #expect(folder.names().isEmpty)
        #expect(code { try folder.remove("office") } == .notFound)
        #expect(code { _ = try folder.read("office") } == .notFound)
    }

    @Test("are refused when others can read or write them", arguments: [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
    func modes(mode: Int) throws {
        try folder.write(profile, as: "office")
        let file = try folder.file(of: "office")
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
        #expect(code { _ = try folder.read("office") } == .accessDenied)
        try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: file)
        #expect(code { _ = try folder.read("office") } == nil)
    }

    @Test("are refused when they are no files of ours, without a crash and without showing what is in them")
    func damage() throws {
        try folder.write(profile, as: "office")
        let file = try folder.file(of: "office")
        let whole = try Data(contentsOf: URL(filePath: file))
        guard case .profile(let key) = profile.key else { return }
        let secret = key.rawRepresentation.base64EncodedString()
        #expect(String(decoding: whole, as: UTF8.self).contains(secret))
        func write(_ bytes: Data) throws {
            try bytes.write(to: URL(filePath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        }
        for length in 0..<(whole.count - 2) {
            try write(whole.prefix(length))
            do {
                _ = try folder.read("office")
                Issue.record("read \(length) of \(whole.count) bytes")
            } catch {
                #expect((error as? HawserError)?.code == .damaged)
                #expect(!"\(error)".contains(secret))
            }
        }
        let text = String(decoding: whole, as: UTF8.self)
        try write(Data(text.replacing("\"version\" : 1", with: "\"version\" : 2").utf8))
        #expect(code { _ = try folder.read("office") } == .unsupported)
        try write(Data(text.replacing("gw:6180", with: "gw:0").utf8))
        #expect(code { _ = try folder.read("office") } == .damaged)
        // Neither a link nor a folder, nor something that never ends.
        try FileManager.default.removeItem(atPath: file)
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/etc/passwd")
        #expect(code { _ = try folder.read("office") } == .accessDenied)
        try FileManager.default.removeItem(atPath: file)
        #expect(mkfifo(file, 0o600) == 0)
        #expect(code { _ = try folder.read("office") } == .damaged)
    }

    @Test(
        "have names that are names of files",
        arguments: ["", ".", "..", ".a", "a/b", "ä", "a b", String(repeating: "a", count: 65)]
    )
    func names(name: String) {
        #expect(code { _ = try folder.read(name) } == .invalidArgument)
        #expect(code { try folder.write(profile, as: name) } == .invalidArgument)
    }

    @Test("lie where the user's settings lie")
    func places() throws {
        func place(_ variables: [String: String], isRoot: Bool) throws -> String {
            try ProfileFolder.standard(environment: { variables[$0] }, isRoot: isRoot).path
        }
        #expect(try place(["XDG_CONFIG_HOME": "/x", "HOME": "/h"], isRoot: true) == "/x/hawser/providers")
        #expect(
            try place(["XDG_CONFIG_HOME": "relative", "HOME": "/h"], isRoot: false) == "/h/.config/hawser/providers"
        )
        #expect(try place(["HOME": "/root"], isRoot: true) == "/etc/hawser/providers")
        #expect(throws: HawserError.self) { try place([:], isRoot: false) }
    }

    @Test("can have their key elsewhere: a systemd credential or a command")
    func otherPlaces() async throws {
        let raw = Curve25519.Signing.PrivateKey().rawRepresentation
        let expected = try DeviceKey(parsing: [UInt8](raw)).publicKey
        try (raw.base64EncodedString() + "\n").write(toFile: scratch.path + "/key", atomically: true, encoding: .utf8)
        let environment: @Sendable (String) -> String? = { [path = scratch.path] in
            $0 == "CREDENTIALS_DIRECTORY" ? path : nil
        }
        for (name, place) in [
            ("a", ProviderProfile.KeyPlace.credential("key")), ("b", .command("cat '\(scratch.path)/key'")),
        ] {
            var profile = profile
            profile.key = place
            try folder.write(profile, as: name)
            #expect(!(try String(contentsOfFile: folder.file(of: name), encoding: .utf8)).contains("\"key\" :"))
            #expect(try await folder.read(name).key.deviceKey(environment: environment).publicKey == expected)
        }
        for place in [
            ProviderProfile.KeyPlace.credential("none"), .credential("../key"), .command("exit 1"), .command("yes"),
        ] {
            await #expect { _ = try await place.deviceKey(environment: environment) } throws: {
                ($0 as? HawserError)?.code == .accessDenied
            }
        }
        await #expect(throws: HawserError.self) {
            try await ProviderProfile.KeyPlace.credential("key").deviceKey(environment: { _ in nil })
        }
        await #expect {
            _ = try await ProviderProfile.KeyPlace.command("echo short").deviceKey(environment: environment)
        } throws: {
            ($0 as? HawserError)?.code == .invalidArgument
        }
    }

    @Test("show no key")
    func descriptions() {
        let key = DeviceKey()
        var text = ""
        dump(profile, to: &text)
        dump(key, to: &text)
        text += "\(profile) \(key) \(String(reflecting: key))"
        #expect(!text.contains(key.rawRepresentation.base64EncodedString()))
        #expect(text.contains("<device key>"))
    }
}
