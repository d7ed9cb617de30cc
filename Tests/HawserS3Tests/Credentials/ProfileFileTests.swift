import Testing

@testable import HawserS3

@Suite("The shared files of AWS profiles")
struct ProfileFileTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var text: String
        var kind = ProfileFile.Kind.config
        var profile = "default"
        var name = "region"
        var value: String?

        var testDescription: String { "\(name) of \(profile) in \(text.debugDescription)" }
    }

    static let examples = [
        Example(text: "[default]\nregion = eu-west-1\n", value: "eu-west-1"),
        Example(text: "[default]\r\nregion=eu-west-1\r\n", value: "eu-west-1"),
        Example(text: "[profile a]\nregion = x\n", profile: "a", value: "x"),
        Example(text: "[profile   a b ]\nregion = x\n", profile: "a b", value: "x"),
        Example(text: "[ profile a ]\nregion = x\n", profile: "a", value: "x"),
        Example(text: "[a]\nregion = x\n", profile: "a", value: nil),
        Example(text: "[a]\nregion = x\n", kind: .credentials, profile: "a", value: "x"),
        Example(text: "[profile a]\nregion = x\n", kind: .credentials, profile: "a", value: nil),
        Example(text: "# [profile a]\n; c\n[profile a] # it\nregion = x # here\n", profile: "a", value: "x"),
        Example(text: "[default]\nregion = a#b;c\n", value: "a#b;c"),
        Example(text: "[default]\nregion = x\t; c\n", value: "x"),
        Example(text: "[default]\nREGION = x\n", value: "x"),
        Example(text: "[default]\nregion = x = y\n", value: "x = y"),
        Example(text: "[default]\nregion =\n", value: ""),
        Example(text: "[default]\nregion = x\nregion = y\n", value: "y"),
        Example(text: "[default]\nregion = x\n[profile b]\n[default]\noutput = json\n", value: "x"),
        Example(text: "[default]\ns3 =\n  region = z\nregion = x\n", value: "x"),
        Example(text: "[default]\nregion = x\n  region = z\n", value: "x"),
        Example(text: "[profile default]\nregion = x\n[default]\nregion = y\n", value: "x"),
        Example(text: "[default]\nregion = y\n[profile default]\nregion = x\n", value: "x"),
        Example(text: "region = x\n", value: nil),
        Example(text: "[sso-session default]\nregion = x\n", value: nil),
        Example(text: "[default\nregion = x\n", value: nil),
        Example(text: "[default]\nno setting\n= x\nregion = x", value: "x"),
        Example(text: "", value: nil),
    ]

    @Test("Are read as the SDKs read them", arguments: examples)
    func reads(example: Example) {
        let file = ProfileFile(example.text, example.kind)
        #expect(file.profiles[example.profile]?[example.name] == example.value)
    }

    @Test("Settings of the credentials file go before those of the config file, and empty ones are none")
    func merges() {
        let profiles = AWSProfiles(
            credentials: ProfileFile("[a]\nregion = x\nempty =\n", .credentials),
            config: ProfileFile("[profile a]\nregion = y\nendpoint_url = z\n", .config),
            selected: "a"
        )
        #expect(profiles.setting("region") == "x")
        #expect(profiles.setting("endpoint_url") == "z")
        #expect(profiles.setting("empty") == nil)
        #expect(profiles.setting("region", of: "b") == nil)
        #expect(profiles.has("a") && !profiles.has("b") && profiles.isNamed)
    }
}
