import Testing

@testable import HawserCommand

struct LeadingOptionsTests {
    @Test(arguments: [
        (["-r", "/b", "backup", "/home"], ["backup", "-r", "/b", "/home"]),
        (["--repo=/b", "--json", "key", "list", "x"], ["key", "list", "--repo=/b", "--json", "x"]),
        (["backup", "-r", "/b"], ["backup", "-r", "/b"]),
        (["-r", "key", "snapshots"], ["snapshots", "-r", "key"]),
        (["--subtenant", "lab", "snapshots"], ["snapshots", "--subtenant", "lab"]),
        (["-r"], ["-r"]),
        (["--help"], ["--help"]),
        ([], []),
    ])
    func optionsBeforeTheCommandMoveBehindIt(given: [String], expected: [String]) {
        #expect(LeadingOptions.movedBehindCommand(given, root: RootCommand.self) == expected)
    }
}
