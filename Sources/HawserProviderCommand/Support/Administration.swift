import Glibc
import HawserFormat
import HawserProvider

/// Who carries a command out.
enum Administration {
    static func with<Result>(
        _ folder: ProviderFolder,
        _ body: (any AdminTransport) async throws -> Result
    ) async throws -> Result {
        if access(folder.adminSocket, F_OK) == 0, let result = try await withServer(folder, body) { return result }
        let database = try await folder.open()
        do {
            let service = AdminService(database, folder: folder, joinString: try await database.joinStrings())
            let result = try await body(service)
            try await database.close()
            return result
        } catch {
            try? await database.close()
            throw error
        }
    }

    /// `nil` when no server answers: a crashed one leaves its socket behind.
    private static func withServer<Result>(
        _ folder: ProviderFolder,
        _ body: (any AdminTransport) async throws -> Result
    ) async throws -> Result? {
        do {
            return try await AdminClient.withClient(socket: folder.adminSocket) { try await body($0) }
        } catch let error as HawserError where error.code == .noServer {
            return nil
        }
    }
}
