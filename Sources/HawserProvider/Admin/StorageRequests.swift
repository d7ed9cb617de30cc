import HawserControl
import HawserFormat
import HawserS3
import HawserStorage
import Logging

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A storage and, unless it is to come later, a repository of the same name in it.
public struct StorageAdd: AdminRequest {
    public static let operation = "storage.add"
    public var name: String
    public var settings: StorageSettings
    /// The secret access key.
    public var secret: Data?
    public var repository: RepositorySettings?

    public init(name: String, settings: StorageSettings, secret: Data?, repository: RepositorySettings?) {
        self.name = name
        self.settings = settings
        self.secret = secret
        self.repository = repository
    }

    public struct Answer: Codable, Sendable {
        public var storage: StorageRecord
        public var repository: RepositoryRecord?
    }

    public func run(_ service: AdminService) async throws -> Answer {
        let database = service.database
        let storage = try await database.addStorage(
            name,
            settings,
            secret: secret.map { Secret(Array($0)) },
            actor: service.actor
        )
        guard let repository else { return Answer(storage: storage) }
        do {
            let record = try await database.addRepository(name, storage: storage.id, repository, actor: service.actor)
            return Answer(storage: storage, repository: record)
        } catch {
            // Half of what was asked for would only be in the way of the next attempt.
            try await database.removeStorage(storage.id, actor: service.actor)
            throw error
        }
    }
}

public struct StorageList: AdminRequest {
    public static let operation = "storage.list"

    public init() {}

    public func run(_ service: AdminService) async throws -> [StorageRecord] { try await service.database.storages() }
}

public struct StorageShow: AdminRequest {
    public static let operation = "storage.show"
    public var storage: String

    public init(storage: String) {
        self.storage = storage
    }

    public struct Answer: Codable, Sendable {
        public var storage: StorageRecord
        public var repositories: [RepositoryRecord]
    }

    public func run(_ service: AdminService) async throws -> Answer {
        let storage = try await service.storage(storage)
        let repositories = try await service.database.repositories().filter { $0.storage == storage.id }
        return Answer(storage: storage, repositories: repositories)
    }
}

public struct StorageUpdate: AdminRequest {
    public static let operation = "storage.update"
    public var storage: String
    public var settings: StorageSettings
    public var secret: Data?

    public init(storage: String, settings: StorageSettings, secret: Data? = nil) {
        self.storage = storage
        self.settings = settings
        self.secret = secret
    }

    public func run(_ service: AdminService) async throws -> StorageRecord {
        let record = try await service.storage(storage)
        let secret = secret.map { Secret(Array($0)) }
        if let secret {
            try await service.tryKey(secret, settings, of: record)
        } else if settings.accessKeyID != record.settings.accessKeyID {
            throw HawserError(.invalidArgument, "Another access key has another secret: give both.", place: record.name)
        }
        try await service.database.updateStorage(record.id, settings, secret: secret, actor: service.actor)
        return try await service.database.storage(record.id)
    }
}

extension AdminService {
    /// Stores, lists, reads and deletes an object with a key that is to take the place of the storage's.
    ///
    /// - Throws: `conflict` for the key that has to be replaced.
    fileprivate func tryKey(_ secret: Secret, _ settings: StorageSettings, of storage: StorageRecord) async throws {
        try ConfigurationDatabase.check(settings)
        if storage.keyMustBeRotated, try await database.storageSecret(storage.id) == secret {
            throw HawserError(
                .conflict,
                "This is the key that must be rotated: make a new one at the storage.",
                place: storage.name
            )
        }
        let folder = (settings.prefix.isEmpty ? "" : settings.prefix + "/") + "hawser-key-\(ControlID.random())/"
        try await S3ObjectStore.withStore(
            S3Configuration(settings, folder: folder),
            credentials: StaticCredentials(accessKeyID: settings.accessKeyID, secretAccessKey: secret)
        ) { store in
            let bytes = Array("tried by hawser-provider".utf8)
            let name = ObjectName(hashOf: bytes)
            let key = ObjectKey.named(.dataPack, name)
            _ = try await store.put(key, bytes, sha256: name)
            do {
                let isListed = try await store.list(prefix: "", after: nil, limit: 10).map(\.key) == [key]
                guard isListed, try await store.get(key, range: nil) == bytes else {
                    throw HawserError(.accessDenied, "What the new key has stored is not there.", place: storage.name)
                }
            } catch {
                try? await store.delete([key])
                throw error
            }
            try await store.delete([key])
        }
    }
}

/// Plays a hostile tenant against a storage, and remembers which kinds of access may be given out.
public struct StorageCheck: AdminRequest {
    public static let operation = "storage.check"
    public var storage: String

    public init(storage: String) {
        self.storage = storage
    }

    public struct Answer: Codable, Sendable {
        public var findings: [FenceFinding]
        /// Of each kind of access that was tried: whether all held.
        public var held: [String: Bool]
    }

    public func run(_ service: AdminService) async throws -> Answer {
        let database = service.database
        let record = try await service.storage(storage)
        let issuer = CredentialIssuer(database, logger: Logger(label: "hawser.check"))
        let findings = try await FenceCheck.run(record, issuer)
        var settings = try await database.storage(record.id).settings
        var checked: [String: String] = [:]
        for (access, tried) in Dictionary(grouping: findings, by: \.access) {
            let failed = tried.filter { !$0.held }.map(\.attempt)
            checked[access.rawValue] = failed.isEmpty ? StorageSettings.held : failed.joined(separator: "; ")
        }
        settings.checked = checked
        try await database.updateStorage(record.id, settings, actor: service.actor)
        return Answer(findings: findings, held: checked.mapValues { $0 == StorageSettings.held })
    }
}

/// Puts another key in the place of the storage's, once it has stored, listed, read and deleted an object.
public struct StorageRotateKey: AdminRequest {
    public static let operation = "storage.rotateKey"
    public var storage: String
    public var accessKeyID: String
    public var secret: Data

    public init(storage: String, accessKeyID: String, secret: Data) {
        self.storage = storage
        self.accessKeyID = accessKeyID
        self.secret = secret
    }

    public func run(_ service: AdminService) async throws -> StorageRecord {
        let database = service.database
        let record = try await service.storage(storage)
        var settings = record.settings
        settings.accessKeyID = accessKeyID
        let secret = Secret(Array(secret))
        try await service.tryKey(secret, settings, of: record)
        try await database.updateStorage(record.id, settings, secret: secret, actor: service.actor)
        return try await database.storage(record.id)
    }
}

public struct StorageRemove: AdminRequest {
    public static let operation = "storage.remove"
    public var storage: String

    public init(storage: String) {
        self.storage = storage
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.removeStorage(service.storage(storage).id, actor: service.actor)
        return AdminDone()
    }
}

public struct RepositoryAdd: AdminRequest {
    public static let operation = "repository.add"
    public var name: String
    public var storage: String
    public var settings: RepositorySettings

    public init(name: String, storage: String, settings: RepositorySettings) {
        self.name = name
        self.storage = storage
        self.settings = settings
    }

    public func run(_ service: AdminService) async throws -> RepositoryRecord {
        let place = try await service.storage(storage).id
        return try await service.database.addRepository(name, storage: place, settings, actor: service.actor)
    }
}

public struct RepositoryList: AdminRequest {
    public static let operation = "repository.list"

    public init() {}

    public func run(_ service: AdminService) async throws -> [RepositoryRecord] {
        try await service.database.repositories()
    }
}

public struct RepositoryUpdate: AdminRequest {
    public static let operation = "repository.update"
    public var repository: String
    public var settings: RepositorySettings

    public init(repository: String, settings: RepositorySettings) {
        self.repository = repository
        self.settings = settings
    }

    public func run(_ service: AdminService) async throws -> RepositoryRecord {
        let id = try await service.repository(repository).id
        try await service.database.updateRepository(id, settings, actor: service.actor)
        return try await service.database.repository(id)
    }
}

public struct RepositoryRemove: AdminRequest {
    public static let operation = "repository.remove"
    public var repository: String

    public init(repository: String) {
        self.repository = repository
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.removeRepository(service.repository(repository).id, actor: service.actor)
        return AdminDone()
    }
}
