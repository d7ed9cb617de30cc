import HawserFormat

/// What all servers of the provider answer alike.
extension ControlProblem {
    /// Of HTTP: for proxies and people with curl; our clients go by the code.
    package var statusCode: Int {
        switch code {
        case "not_signed_in", "session_over": 401
        case "tenant_disabled", "lease_over", "revoked", "access_denied", "quota_exceeded", "recovery": 403
        case "not_found": 404
        case "wrong_method": 405
        case "conflict", "too_many_sessions": 409
        case "invalid_argument": 400
        case "request_too_large": 413
        case "unsupported", "no_way": 422
        case "too_many_requests": 429
        case "maintenance", "unavailable", "storage_full": 503
        default: 500
        }
    }

    /// - Returns: `nil` for an error that is the server's own business: the client learns only that there was one.
    package init?(answerable error: any Error) {
        guard let error = error as? HawserError, Self.answerable.contains(error.code.description) else { return nil }
        self.init(
            error.code,
            error.message,
            retryAfter: error.isRetryable ? (error.retryAfter ?? .seconds(5)) / .seconds(1) : nil
        )
    }

    package static let answerable: Set<String> = [
        "not_signed_in", "session_over", "tenant_disabled", "lease_over", "revoked", "access_denied", "quota_exceeded",
        "recovery", "not_found", "conflict", "too_many_sessions", "invalid_argument", "request_too_large",
        "unsupported",
        "no_way", "wrong_method", "too_many_requests", "maintenance",
    ]
}
