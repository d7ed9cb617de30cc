import Foundation
import HawserFormat
import HawserS3
import Testing

@testable import EndToEndTests

/// The server that scripts/storage/server started for these tests, and what it can't do.
struct TestedServer: Sendable {
    struct Key: Sendable {
        var id: String
        var secret: String
        var token: String?

        var variables: [String: String] {
            var variables = ["AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret]
            variables["AWS_SESSION_TOKEN"] = token
            return variables
        }
    }

    let name: String
    let endpoint: String
    let region: String
    let bucket: String
    /// The bucket as `hawser -r` takes it.
    let repository: String
    let key: Key
    /// What a store should have and this one's entry in scripts/storage says that it has not.
    let lacks: Set<StorageProfile.Trait>
    private let environment: [String: String]

    /// `nil` when no server was started.
    static let current = TestedServer(ProcessInfo.processInfo.environment)

    private init?(_ environment: [String: String]) {
        guard let name = environment["HAWSER_STORAGE"], let endpoint = environment["HAWSER_STORAGE_ENDPOINT"],
            let bucket = environment["HAWSER_STORAGE_BUCKET"],
            let repository = environment["HAWSER_STORAGE_REPOSITORY"],
            let id = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"]
        else { return nil }
        self.name = name
        self.endpoint = endpoint
        region = environment["AWS_REGION"] ?? "us-east-1"
        self.bucket = bucket
        self.repository = repository
        key = Key(id: id, secret: secret, token: environment["AWS_SESSION_TOKEN"])
        lacks = Set(
            (environment["HAWSER_STORAGE_LACKS"] ?? "").split(separator: ",").compactMap {
                StorageProfile.Trait(rawValue: String($0))
            }
        )
        self.environment = environment
    }

    /// Something that only some servers have: `ROLE`, `MACHINE`, …
    func extra(_ name: String) -> String? {
        environment["HAWSER_STORAGE_" + name]
    }

    /// The key of another account, which is in a variable as `key:secret`.
    func account(_ name: String) throws -> Key {
        let parts = try #require(extra(name)).split(separator: ":")
        try #require(parts.count == 2)
        return Key(id: String(parts[0]), secret: String(parts[1]))
    }

    /// A folder in the bucket that nobody else uses.
    static func freshPrefix(below folder: String = "") -> String {
        folder + UUID().uuidString.lowercased()
    }

    /// With an empty source and the coordinates of a repository that is not there yet.
    func bench(prefix: String = freshPrefix(), bucket: String? = nil, key: Key? = nil) throws -> Workbench {
        let place = bucket.map { "s3:\(endpoint)/\($0)" } ?? repository
        return try Workbench(repository: place + "/" + prefix, variables: (key ?? self.key).variables)
    }

    /// Takes what speaks S3 away and brings it back.
    func control(_ action: String) async throws {
        let script = try #require(extra("CONTROL"))
        let folder = try #require(extra("FOLDER"))
        let command = try RunningCommand(
            script,
            [action, name, "--folder", folder],
            environment: ProcessInfo.processInfo.environment
        )
        try await command.result().expect(0)
    }
}

extension Trait where Self == ConditionTrait {
    static var needsServer: Self {
        .enabled(if: TestedServer.current != nil, "There is no server: scripts/test-storage starts one and runs these.")
    }

    /// - Parameter extra: see `TestedServer.extra`.
    static func needs(_ extra: String) -> Self {
        .enabled(if: TestedServer.current?.extra(extra) != nil, "This server has no HAWSER_STORAGE_\(extra).")
    }
}
