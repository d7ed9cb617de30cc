import Crypto
import HawserControl
import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a gateway keeps in its data folder: whose it is, and the key that it signs in with.
public struct GatewayMembership: Codable, Sendable {
    public let domain: String
    /// As the provider calls the gateway.
    public let name: String
    let gateway: ControlID
    /// `host:port` at which the provider's server is reached: the cloud gateways of the join string.
    private let addresses: [String]
    /// Those that it has named since; they change, and the first ones stay: perhaps only they are reached from here.
    var told: [String]?
    /// DER: the only ones that it trusts.
    var authorities: [Data]
    /// Ed25519, raw.
    private let key: Data

    /// One after the other, where the provider's server is looked for.
    var ways: [String] { addresses + (told ?? []).filter { !addresses.contains($0) } }

    /// What tenants know it by.
    public var serverName: String { "\(name).\(domain)" }

    /// Whether somebody has joined anew; authorities change without that.
    func isOther(than old: GatewayMembership) -> Bool { gateway != old.gateway || key != old.key }

    /// Registers with the provider of a join string, and keeps that in `folder`.
    ///
    /// - Throws: `conflict` when there is a membership in the folder; `notSignedIn` when the code was used or is too old.
    public static func join(_ text: String, folder: String) async throws -> GatewayMembership {
        let join = try JoinString(parsing: text)
        guard !FileManager.default.fileExists(atPath: file(folder)) else {
            throw HawserError(
                .conflict,
                "There is a gateway in this folder already. To join anew, move its gateway.json away.",
                place: folder
            )
        }
        // Before the code is used up: a folder that can't be written to is found out.
        try makeFolder(folder)
        let key = Curve25519.Signing.PrivateKey()
        let request = try ControlRequest.post(
            GatewayServerAPI.gateways,
            GatewayRegistrationRequest(code: join.code, publicKey: key.publicKey.rawRepresentation)
        )
        var failure: HawserError?
        for address in join.gateways {
            do {
                let transport = try HTTPControlTransport(
                    address,
                    serverName: "control.\(join.domain)",
                    authorities: join.authorities
                )
                let answer = try await transport.call(request, as: GatewayRegistrationAnswer.self)
                await transport.shutdown()
                let membership = GatewayMembership(
                    domain: join.domain,
                    name: answer.name,
                    gateway: answer.gateway,
                    addresses: join.gateways.map(\.description),
                    authorities: join.authorities,
                    key: key.rawRepresentation
                )
                try membership.save(folder)
                return membership
            } catch let error as HawserError where error.code == .unavailable && error.isRetryable {
                failure = error
            }
        }
        throw failure ?? HawserError(.invalidArgument, "The join string names no gateway.")
    }

    /// - Throws: `notFound` when the folder has none.
    public static func load(_ folder: String) throws -> GatewayMembership {
        guard let data = try? Data(contentsOf: URL(filePath: file(folder))) else {
            throw HawserError(
                .notFound,
                "This folder has no gateway, or can't be read. Join first: `hawser-gateway join JOIN-STRING --data`.",
                place: folder
            )
        }
        do {
            return try JSONDecoder().decode(GatewayMembership.self, from: data)
        } catch {
            throw HawserError(.damaged, "The gateway's file can't be read.", place: file(folder), cause: error)
        }
    }

    func save(_ folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try Self.write(try encoder.encode(self), to: Self.file(folder))
    }

    /// For the owner alone, in one step.
    static func write(_ contents: Data, to file: String) throws {
        let temporary = "\(file).\(ControlID.random())"
        do {
            // In a folder that is the owner's alone, so nobody sees it before its mode is set.
            let isMade = FileManager.default.createFile(
                atPath: temporary,
                contents: contents,
                attributes: [.posixPermissions: 0o600]
            )
            guard isMade else { throw HawserError(.fileSystem, "The file can't be written.") }
            // In one step: there is always one of the two.
            guard rename(temporary, file) == 0 else { throw HawserError(.fileSystem, "The file can't be renamed.") }
        } catch {
            _ = try? FileManager.default.removeItem(atPath: temporary)
            throw HawserError(.fileSystem, "The gateway's file can't be written.", place: file, cause: error)
        }
    }

    func signIn(nonce: Data) throws -> GatewaySignInRequest {
        let bytes = GatewaySignInRequest.signedBytes(gateway: gateway, nonce: nonce, domain: domain)
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: key)
        return GatewaySignInRequest(gateway: gateway, nonce: nonce, signature: try key.signature(for: bytes))
    }

    private static func file(_ folder: String) -> String { "\(folder)/gateway.json" }

    private static func makeFolder(_ folder: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw HawserError(.fileSystem, "The data folder can't be made.", place: folder, cause: error)
        }
    }
}

/// The key is nobody's business.
extension GatewayMembership: CustomStringConvertible, CustomReflectable {
    public var description: String { "gateway \(serverName)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
