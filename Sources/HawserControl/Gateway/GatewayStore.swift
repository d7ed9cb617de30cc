public import HawserFormat
public import HawserStorage
public import Logging

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Replaced when the gateway server's client is merged.
public final class GatewayStore: ObjectStore {
    public init(gateways: [GatewayAddress], serverName: String, token: String, authorities: [Data], logger: Logger)
        throws
    {}
    public func shutdown() async {}
    public func put(_ key: ObjectKey, _ bytes: [UInt8], sha256: ObjectName) async throws -> PutResult {
        throw HawserError(.unsupported, "")
    }
    public func get(_ key: ObjectKey, range: Range<Int>?) async throws -> [UInt8] {
        throw HawserError(.unsupported, "")
    }
    public func head(_ key: ObjectKey) async throws -> ObjectInfo? { throw HawserError(.unsupported, "") }
    public func list(prefix: String, after: ObjectKey?, limit: Int) async throws -> [ObjectInfo] {
        throw HawserError(.unsupported, "")
    }
    public func delete(_ keys: [ObjectKey]) async throws { throw HawserError(.unsupported, "") }
}
