import HawserFormat
import HawserS3
import Logging

extension ConfigurationDatabase {
    /// A storage with its own key, for the provider's servers only. To be shut down.
    ///
    /// - Parameter folder: where in the bucket the store's objects lie; empty for the whole bucket.
    /// - Throws: `accessDenied` when the storage has no key; `invalidArgument` for settings that can't work.
    func store(_ storage: StorageRecord, folder: String, logger: Logger) async throws -> S3ObjectStore {
        guard let secret = try await storageSecret(storage.id) else {
            throw HawserError(
                .accessDenied,
                "The storage has no secret key: set it with «hawser-provider storage update --secret-file».",
                place: storage.name
            )
        }
        return try S3ObjectStore(
            try S3Configuration(storage.settings, folder: folder),
            credentials: StaticCredentials(accessKeyID: storage.settings.accessKeyID, secretAccessKey: secret),
            logger: logger
        )
    }
}

extension S3Configuration {
    /// As the provider's servers reach it.
    ///
    /// - Throws: `invalidArgument` for an endpoint that is none.
    init(_ settings: StorageSettings, folder: String) throws {
        self.init(
            endpoint: try S3Endpoint(parsing: settings.endpoint),
            region: settings.region,
            bucket: settings.bucket,
            prefix: folder,
            addressing: settings.usesPathStyle ? .path : .virtualHost,
            trustedCertificates: settings.tenantAuthority.map { Array($0.utf8) }
        )
    }
}
