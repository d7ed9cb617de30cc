import HawserFormat
import HawserStorage

/// Credentials of a source, kept while they hold and renewed before they end.
///
/// The source is asked by one request at a time; the others go on with the old credentials while these are still valid,
/// and wait otherwise. When it fails, old ones that are still valid are used, and it is asked again a little later.
public final class RenewedCredentials: S3CredentialsProvider {
    private let renewal: Renewal<S3Credentials>

    // Ten minutes bridge an outage of whoever gives them, and are longer than an upload that was signed takes to begin.
    private static let longestLead = Duration.seconds(600)

    public convenience init(_ source: any S3CredentialsSource) {
        // The clock goes on while the machine sleeps.
        self.init(source, clock: ContinuousClock(), wallClock: { .now })
    }

    /// - Parameters:
    ///   - clock: counts how long credentials are held.
    ///   - wallClock: the time that the ends of credentials are compared with, once, when they come.
    init(
        _ source: any S3CredentialsSource,
        clock: any Clock<Duration>,
        wallClock: @escaping @Sendable () -> Timestamp
    ) {
        renewal = Renewal(longestLead: Self.longestLead, clock: clock) {
            guard let credentials = try await source.load() else {
                throw HawserError(.accessDenied, "There are no credentials. They were looked for in: \(source.place).")
            }
            let lifetime = credentials.expiration.map { wallClock().duration(to: $0) }
            return .init(credentials: credentials, lifetime: lifetime)
        }
    }

    public func withCredentials<Result: Sendable>(
        _ use: @Sendable (S3Credentials) throws -> Result
    ) async throws -> Result {
        try use(await renewal.current())
    }

    public func renew(refused accessKeyID: String) async throws -> Bool {
        try await renewal.renew(refused: accessKeyID) { new, old in
            new.secretAccessKey != old?.secretAccessKey || new.sessionToken != old?.sessionToken
        }
    }
}

extension Timestamp {
    /// To the microsecond.
    func duration(to other: Timestamp) -> Duration {
        // Both lie within the years 0 to 9999, or were clamped by whoever made them: no overflow.
        .seconds(other.seconds.subtractingReportingOverflow(seconds).partialValue)
            + .nanoseconds(Int64(other.nanoseconds) - Int64(nanoseconds))
    }
}
