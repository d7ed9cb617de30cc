import HawserFormat
import HawserStorage

/// Makes a machine known to a provider: trades the one-time code of a join string for the registration of its key.
public struct Registration: Sendable {
    /// Where the device key comes from.
    public enum Key: Sendable {
        /// A new one, which goes into the profile.
        case new
        /// One that is there already, and stays there.
        case kept(ProviderProfile.KeyPlace)
    }

    private let join: JoinString
    private let makeTransport: @Sendable (GatewayAddress) throws -> any ControlTransport

    public init(_ join: JoinString) {
        self.init(join) {
            try HTTPControlTransport($0, serverName: "control." + join.domain, authorities: join.authorities)
        }
    }

    init(_ join: JoinString, makeTransport: @escaping @Sendable (GatewayAddress) throws -> any ControlTransport) {
        self.join = join
        self.makeTransport = makeTransport
    }

    /// Registers this machine and writes its profile.
    ///
    /// - Parameters:
    ///   - name: of the profile.
    ///   - device: how the provider shows this machine; cut at 255 bytes.
    /// - Throws: `conflict` when there is such a profile, `not_signed_in` when the code is not good (any more),
    ///   `unavailable` when no gateway can be reached; in these cases nothing is written.
    public func register(
        as name: String,
        in folder: ProfileFolder,
        device: String,
        key: Key = .new,
        environment: @escaping @Sendable (String) -> String?
    ) async throws -> ProviderProfile {
        // Before the code is spent: a disk that is full or read only is found now.
        let file = try await BlockingExecutor.shared.run { () throws in try folder.reserve(name) }
        let place: ProviderProfile.KeyPlace =
            switch key {
            case .new: .profile(DeviceKey())
            case .kept(let place): place
            }
        let publicKey = try await place.deviceKey(environment: environment).publicKey
        let request = RegistrationRequest(code: join.code, publicKey: publicKey, name: Self.shortened(device))
        let answer = try await send(request)
        let profile = ProviderProfile(
            domain: join.domain,
            gateways: join.gateways,
            authorities: join.authorities,
            tenant: answer.tenant,
            subtenant: answer.subtenant,
            device: answer.device,
            key: place
        )
        try await BlockingExecutor.shared.run { () throws in
            try file.write(profile.json)
            try file.publish(replacing: false)
        }
        return profile
    }

    private func send(_ request: RegistrationRequest) async throws -> RegistrationAnswer {
        var failure: (any Error)?
        for gateway in join.gateways {
            let transport = try makeTransport(gateway)
            do {
                let answer: RegistrationAnswer = try await transport.call(.post(ControlAPI.devices, request))
                await transport.shutdown()
                return answer
            } catch {
                await transport.shutdown()
                failure = error
                guard let error = error as? HawserError, error.isRetryable else { throw error }
            }
        }
        throw failure ?? HawserError(.invalidArgument, "The join string names no gateway.")
    }

    private static func shortened(_ name: String) -> String {
        var name = name
        while name.utf8.count > 255 { name.removeLast() }
        return name
    }
}
