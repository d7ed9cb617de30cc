import AsyncHTTPClient
public import HawserControl
import HawserFormat
import HawserS3

/// One thing that somebody tried against a storage.
public struct FenceFinding: Codable, Sendable, Hashable {
    /// Which kind of access it is about.
    public var access: AccessPermissions
    public var attempt: String
    /// Whether it must work, or must not.
    public var isAllowed: Bool
    /// What the storage answered.
    public var answer: String
    /// Whether it was as it must be.
    public var held: Bool
}

/// Plays a hostile tenant against a storage, in folders that are made for it and removed again: what a storage says of its
/// fences is not believed.
struct FenceCheck {
    let raw: RawRequests
    let issuer: CredentialIssuer
    let storage: StorageRecord
    /// The storage's own.
    let owner: S3Credentials
    let own: FolderPolicy
    let neighbour: FolderPolicy
    /// Of a neighbour, in clear: whoever has read it names it.
    let treasure = Array("what a neighbour has stored".utf8)

    var prefix: String { own.folder }
    var neighbourKey: String { neighbour.folder + "packs/neighbour" }

    /// - Throws: `unavailable` and others when the storage can't be reached at all with its own key.
    static func run(
        _ storage: StorageRecord,
        _ issuer: CredentialIssuer
    ) async throws -> [FenceFinding] {
        let owner = try await issuer.key(of: storage)
        let repository = ControlID.random()
        let configuration = try S3Configuration(storage.settings, folder: "")
        return try await HTTPClient.withHTTPClient(configuration: .init(configuration)) { client in
            let check = FenceCheck(
                raw: try RawRequests(client, storage.settings),
                issuer: issuer,
                storage: storage,
                owner: owner,
                own: FolderPolicy(.scratch(repository), in: storage.settings),
                neighbour: FolderPolicy(.scratch(repository), in: storage.settings)
            )
            try await check.put(check.neighbourKey, check.treasure)
            let result: Result<[FenceFinding], any Error>
            do {
                var findings = try await check.tickets()
                if storage.settings.sts != nil { findings += try await check.temporaryCredentials(client) }
                result = .success(findings)
            } catch {
                result = .failure(error)
            }
            do {
                try await check.cleanUp()
            } catch {
                // What went wrong first is what helps.
                _ = try result.get()
                throw error
            }
            return try result.get()
        }
    }

    /// - Throws: `accessDenied` when even the storage's own key can't store.
    func put(_ key: String, _ bytes: [UInt8]) async throws {
        let answer = try await raw.send("PUT", key, body: bytes, as: owner)
        guard answer.isSuccess else {
            throw HawserError(
                .accessDenied,
                "The storage does not take an object with its own key (HTTP \(answer.status)): check endpoint, bucket, key and its "
                    + "rights.",
                place: storage.name
            )
        }
    }

    /// With the owner's key; `nil` when it is not there.
    func object(_ key: String) async throws -> [UInt8]? {
        let answer = try await raw.send("GET", key, as: owner)
        return answer.isSuccess ? answer.body : nil
    }

    func finding(
        _ access: AccessPermissions,
        _ attempt: String,
        isAllowed: Bool = false,
        _ answer: RawRequests.Answer,
        held: Bool
    ) -> FenceFinding {
        FenceFinding(
            access: access,
            attempt: attempt,
            isAllowed: isAllowed,
            answer: "HTTP \(answer.status)",
            held: held
        )
    }

    private func cleanUp() async throws {
        // Both folders, and what lies beside them.
        let settings = try S3Configuration(storage.settings, folder: own.repositoryFolder)
        try await S3ObjectStore.withStore(settings, credentials: StaticCredentials(owner)) { store in
            var found: [StoredVersion] = []
            for try await version in store.inventory(hasVersions: try await store.hasVersions()) {
                found.append(version)
            }
            try await store.delete(found)
        }
        for folder in [own, neighbour] { try await issuer.removeRoles(storage, folder: folder.id) }
    }
}

extension FolderRecord {
    /// A folder that nobody has.
    fileprivate static func scratch(_ repository: ControlID) -> FolderRecord {
        FolderRecord(
            id: .random(),
            repository: repository,
            tenant: .random(),
            subtenant: nil,
            limit: nil,
            committed: 0,
            reserved: 0,
            belowCommitted: 0,
            belowReserved: 0,
            pending: 0,
            unproven: 0,
            outside: 0,
            reconciled: nil,
            isOver: false
        )
    }
}
