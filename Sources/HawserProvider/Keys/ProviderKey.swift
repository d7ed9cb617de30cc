import Crypto
public import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The key under which secrets lie in the configuration database: 256 random bits that are kept apart from it.
public struct ProviderKey: Sendable {
    public static let length = 32

    private let key: SymmetricKey

    /// - Throws: `invalidArgument` unless there are exactly 32 bytes.
    public init(_ secret: Secret) throws {
        guard secret.count == Self.length else {
            throw HawserError(
                .invalidArgument,
                "A provider key has \(Self.length) bytes, not \(secret.count). Give the file that `init` made."
            )
        }
        key = SymmetricKey(data: secret.bytes)
    }

    /// AES-256-GCM with a random nonce. The row's name is authenticated, so that rows can't be swapped.
    func seal(_ secret: Secret, row: String) throws -> Data {
        // 96-bit nonces by chance: safe for 2^32 secrets (NIST SP 800-38D, 8.3).
        guard let sealed = try AES.GCM.seal(secret.bytes, using: key, authenticating: Self.context(row)).combined else {
            throw HawserError(.internalError, "A secret could not be sealed. Please report this.")
        }
        return sealed
    }

    /// - Throws: `damaged` for another key, another row or changed bytes.
    func open(_ sealed: Data, row: String) throws -> Secret {
        do {
            let box = try AES.GCM.SealedBox(combined: sealed)
            return Secret(Array(try AES.GCM.open(box, using: key, authenticating: Self.context(row))))
        } catch {
            throw HawserError(
                .damaged,
                "A secret of the configuration database was changed, or belongs to another row. "
                    + "Restore the database from a backup.",
                place: row,
                cause: error
            )
        }
    }

    /// Table, column, row.
    private static func context(_ row: String) -> Data {
        Data("hawser-provider/secret/sealed/\(row)".utf8)
    }
}
