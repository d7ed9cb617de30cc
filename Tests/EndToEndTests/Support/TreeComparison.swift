import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `scripts/compare-trees`, which shares no code with Hawser.
enum TreeComparison {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "scripts/compare-trees").path

    /// Lines that say what differs; none when the trees are equal. Either can be a manifest.
    static func differences(_ first: String, _ second: String) async throws -> [String] {
        var arguments = [first, second, "--limit", "1000"]
        // Only root can give files away.
        if geteuid() != 0 { arguments += ["--ignore", "owner"] }
        let result = try await run(arguments)
        return result.status == 0 ? [] : result.allText.split(separator: "\n").map(String.init)
    }

    static func expectEqual(
        _ first: String,
        _ second: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let differences = try await differences(first, second)
        #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))", sourceLocation: sourceLocation)
    }

    static func writeManifest(of tree: String, to file: String) async throws {
        let result = try await run([tree, "--manifest"])
        result.expect(0)
        try result.output.write(to: URL(filePath: file))
    }

    private static func run(_ arguments: [String]) async throws -> CommandResult {
        try await RunningCommand(script, arguments, environment: ProcessInfo.processInfo.environment).result()
    }
}
