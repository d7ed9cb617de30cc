import HawserFormat

/// What a request is changed in before it is sent once more, because the storage refused it as it was.
enum S3Remedy: Hashable, Sendable {
    case region(String, S3Endpoint)
    /// Seconds by which this machine's clock is ahead of the storage's.
    case clock(ahead: Int64)
    /// Ask the provider for others than this.
    case credentials(accessKeyID: String)
}

/// Decides, for one request, what to do about refusals; each remedy is tried once. Pure.
///
/// This is no retry: what is sent again is another request, and nothing is waited for.
struct S3Remedies: Sendable {
    private var hasLearnedPlace = false
    private var hasSetClock = false
    private var hasRenewed = false

    /// One attempt: how it was sent.
    struct Attempt: Sendable {
        let location: S3Location
        let accessKeyID: String
        let isTemporary: Bool
        /// The time that it would have been signed with when the answer came.
        let now: Timestamp
        /// What the clock was corrected by for it, seconds.
        let clockAhead: Int64
    }

    // Requests are refused from 15 minutes on (5 at the strictest); the answer's time is exact to seconds.
    private static let tolerance: Int64 = 240

    mutating func remedy(for failure: S3Failure, _ attempt: Attempt) -> S3Remedy? {
        if !hasLearnedPlace, let remedy = place(failure, attempt.location) {
            hasLearnedPlace = true
            return remedy
        }
        if !hasSetClock, let ahead = Self.clockAhead(failure, attempt) {
            hasSetClock = true
            return .clock(ahead: ahead)
        }
        if !hasRenewed, isWorthRenewal(failure, attempt) {
            hasRenewed = true
            return .credentials(accessKeyID: attempt.accessKeyID)
        }
        return nil
    }

    private func place(_ failure: S3Failure, _ location: S3Location) -> S3Remedy? {
        switch failure.meaning {
        case .wrongRegion:
            guard let region = failure.region, region != location.region else { return nil }
            return .region(region, location.endpoint(inRegion: region))
        case .elsewhere:
            let region = failure.region ?? location.region
            let endpoint =
                failure.endpoint.flatMap { location.endpoint(redirectedTo: $0) } ?? location.endpoint(inRegion: region)
            guard region != location.region || endpoint != location.endpoint else { return nil }
            return .region(region, endpoint)
        // Amazon answers HEAD for a bucket of another region with 400 and no body.
        case .other where failure.status == 400 && failure.code.isEmpty:
            guard let region = failure.region, region != location.region else { return nil }
            return .region(region, location.endpoint(inRegion: region))
        default:
            return nil
        }
    }

    /// Seconds by which this machine's clock is ahead of the storage's, if the failure can come of that.
    ///
    /// Not every storage says so: rclone calls it AccessDenied with status 400, and HEAD has no text.
    static func clockAhead(_ failure: S3Failure, _ attempt: Attempt) -> Int64? {
        guard [.wrongTime, .denied, .wrongSignature].contains(failure.meaning), let date = failure.date else {
            return nil
        }
        let difference = attempt.now.seconds - date.seconds
        return abs(difference) > tolerance ? attempt.clockAhead + difference : nil
    }

    private func isWorthRenewal(_ failure: S3Failure, _ attempt: Attempt) -> Bool {
        switch failure.meaning {
        case .expired, .unknownKey: true
        // Ceph does not tell an expired token from any other refusal.
        case .denied, .wrongSignature: attempt.isTemporary
        default: false
        }
    }

    /// For the message, when no remedy has helped.
    func context(of failure: S3Failure, _ attempt: Attempt) -> S3RequestContext {
        let seen = Self.clockAhead(failure, attempt)
        return S3RequestContext(
            bucket: attempt.location.bucket,
            endpoint: attempt.location.endpoint,
            region: attempt.location.region,
            accessKeyID: attempt.accessKeyID,
            clockAhead: seen ?? (hasSetClock ? attempt.clockAhead : nil)
        )
    }
}
