import AsyncHTTPClient
import HawserFormat
import Logging
import Synchronization

extension S3ObjectStore {
    /// Sends an operation, once more for each remedy that helps against a refusal.
    @discardableResult
    func perform<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
        var remedies = S3Remedies()
        while true {
            let (location, clockAhead) = state.withLock { ($0.location, $0.clockAhead) }
            let (answer, signed) = try await send(operation, at: location, clockAhead)
            let failure: S3Failure
            do {
                if answer.head.isSuccess { return try operation.output(answer) }
                failure = S3Failure(answer)
            } catch let error as S3Failure {
                failure = error
            }
            try await mend(failure, operation, signed, location, clockAhead, &remedies)
            guard operation.stream == nil else {
                throw HawserError(
                    .unavailable,
                    "The storage wants to be asked in another way, which is known now. Send the object again.",
                    place: operation.place,
                    isRetryable: true
                )
            }
        }
    }

    /// Changes how the storage is asked, so that asking again can help.
    ///
    /// - Throws: what the failure means, when nothing can be changed.
    func mend(
        _ failure: S3Failure,
        _ operation: some S3Operation,
        _ signed: S3SignedRequest,
        _ location: S3Location,
        _ clockAhead: Int64,
        _ remedies: inout S3Remedies
    ) async throws {
        let attempt = S3Remedies.Attempt(
            location: location,
            accessKeyID: signed.accessKeyID,
            isTemporary: signed.isTemporary,
            now: now().advanced(bySeconds: -clockAhead),
            clockAhead: clockAhead
        )
        guard let remedy = remedies.remedy(for: failure, attempt), try await apply(remedy) else {
            throw failure.error(place: operation.place, remedies.context(of: failure, attempt))
        }
    }

    func signed(
        _ operation: some S3Operation,
        at location: S3Location,
        _ clockAhead: Int64
    ) async throws -> (HTTPClientRequest, S3SignedRequest) {
        let date = now().advanced(bySeconds: -clockAhead)
        return try await credentials.withCredentials { credentials in
            var request = operation.request(at: location)
            SigV4Signer(region: location.region).sign(&request, with: credentials, at: date)
            let signed = S3SignedRequest(
                accessKeyID: credentials.accessKeyID,
                isTemporary: credentials.sessionToken != nil
            )
            return (S3Transport.request(request, at: location), signed)
        }
    }

    private func send(
        _ operation: some S3Operation,
        at location: S3Location,
        _ clockAhead: Int64
    ) async throws -> (S3Answer, S3SignedRequest) {
        do {
            return try await transport.send(body: operation.body, stream: operation.stream) {
                try await self.signed(operation, at: location, clockAhead)
            } plan: {
                try operation.plan($0)
            }
        } catch var error as HawserError where error.place == nil {
            error.place = operation.place.isEmpty ? nil : operation.place
            throw error
        }
    }

    /// Returns whether there is something new to send.
    private func apply(_ remedy: S3Remedy) async throws -> Bool {
        switch remedy {
        case .region(let region, let endpoint):
            state.withLock { state in
                state.location.region = region
                state.location.endpoint = endpoint
            }
            logger.notice(
                "The bucket is in another region",
                metadata: ["region": "\(region)", "endpoint": "\(endpoint)"]
            )
            return true
        case .clock(let ahead):
            state.withLock { $0.clockAhead = ahead }
            logger.warning(
                "This machine's clock differs from the storage's; requests are signed with the storage's time",
                metadata: ["seconds-ahead": "\(ahead)"]
            )
            return true
        case .credentials(let accessKeyID):
            return try await credentials.renew(refused: accessKeyID)
        }
    }
}

/// What of a request's credentials matters when it is refused.
struct S3SignedRequest: Sendable {
    var accessKeyID: String
    var isTemporary: Bool
}
