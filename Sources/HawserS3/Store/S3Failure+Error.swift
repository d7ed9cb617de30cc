import HawserFormat

/// What a message about a refused request names.
struct S3RequestContext: Sendable {
    let bucket: String
    let endpoint: S3Endpoint
    /// That the request was signed for.
    let region: String
    /// `nil` where it does not matter.
    let accessKeyID: String?
    /// By how many seconds this machine's clock is ahead of the storage's, where that was seen.
    let clockAhead: Int64?
}

extension S3Failure {
    /// The error that users see.
    ///
    /// - Parameter place: the object or prefix.
    func error(place: String, _ context: S3RequestContext) -> HawserError {
        let (code, text) = explanation(context)
        return HawserError(
            code,
            text,
            place: place.isEmpty ? nil : place,
            cause: self,
            isRetryable: meaning == .passing,
            retryAfter: retryAfter
        )
    }

    private func explanation(_ context: S3RequestContext) -> (HawserError.Code, String) {
        let endpoint = context.endpoint
        let accessKey = context.accessKeyID.map { "the access key \($0)" } ?? "this access key"
        switch meaning {
        case .noBucket:
            return (
                .noRepository,
                "There is no bucket «\(context.bucket)» at \(endpoint). Make it there, or correct the name."
            )
        case .noObject:
            return (.notFound, "There is no such object.")
        case .impossibleRange:
            return (.invalidArgument, "The range reaches past the end of the object.")
        case .exists:
            return (.conflict, "An object of this name exists.")
        case .unknownKey:
            return (
                .accessDenied,
                "\(endpoint) does not know \(accessKey). Check it, and that it belongs to this storage."
            )
        case .wrongSignature:
            return (
                .accessDenied,
                "\(endpoint) refuses the signature: the secret does not belong to \(accessKey), or a proxy changed the "
                    + "request. Check the secret."
            )
        case .expired:
            return (.accessDenied, "The temporary credentials have expired or are not valid. Get new ones.")
        case .denied:
            return (.accessDenied, denial(accessKey, context))
        case .wrongRegion:
            return (
                .accessDenied,
                "\(endpoint) wants requests to be signed for another region than \(context.region)"
                    + (region.map { ": \(displayText(Array($0.utf8))). Give that one." }
                        ?? ". Give the bucket's region.")
            )
        case .elsewhere:
            return (
                .accessDenied,
                "The bucket «\(context.bucket)» is not at \(endpoint) but elsewhere. Give its own endpoint and region."
            )
        case .wrongTime:
            return (
                .accessDenied,
                "The clocks differ too much: "
                    + (Self.clockText(context) ?? "the storage refuses the time of requests.")
                    + " Set this machine's clock."
            )
        case .quota:
            return (
                .quotaExceeded, "The quota of the storage is used up. Have it raised, or remove what is not needed."
            )
        case .full:
            return (.storageFull, "The storage has no space left.")
        case .archived:
            return (
                .unavailable,
                "The object lies in an archive class of the storage and can't be read. Have it restored from there first."
            )
        case .notImplemented:
            return (.unsupported, "The storage can't do this request.")
        case .foreign:
            return (
                .unavailable,
                "Something else than an S3 storage answered for \(endpoint). Check the URL, and whether a proxy or a portal "
                    + "stands between."
            )
        case .passing:
            return (.unavailable, "The storage can't do this now.")
        case .other:
            return (.unavailable, "The storage refuses the request.")
        }
    }

    private func denial(_ accessKey: String, _ context: S3RequestContext) -> String {
        if let text = Self.clockText(context) {
            return "The storage refuses the request, perhaps for its time: \(text) Set this machine's clock."
        }
        return
            "The storage does not allow this with \(accessKey). Check the key and its secret, its rights on the bucket "
            + "«\(context.bucket)», and that the bucket is yours."
    }

    static func clockText(_ context: S3RequestContext) -> String? {
        context.clockAhead.map { seconds in
            let minutes = (abs(seconds) + 30) / 60
            return "this machine's clock is \(minutes) min \(seconds > 0 ? "ahead of" : "behind") the storage's."
        }
    }
}
