import AsyncHTTPClient
import HawserControl
import HawserFormat
import HawserS3

extension FenceCheck {
    // Of a token's characters; each costs two requests.
    private static let tampered = 24

    /// Whoever has temporary credentials for a backup may read, list and create in the own folder, read the repository's
    /// configuration, and nothing else.
    func temporaryCredentials(_ client: HTTPClient) async throws -> [FenceFinding] {
        let (session, _) = try await issuer.assume(storage, own, .purpose(.backup), atMost: 900)
        var findings: [FenceFinding] = []
        func attempt(
            _ what: String,
            isAllowed: Bool = false,
            _ method: String,
            _ key: String?,
            query: [(name: String, value: String)] = [],
            headers: [(name: String, value: String)] = [],
            body: [UInt8] = [],
            bucket: String? = nil
        ) async throws {
            let answer = try await raw.send(
                method,
                key,
                query: query,
                headers: headers,
                body: body,
                bucket: bucket,
                as: session
            )
            findings.append(finding(.sts, what, isAllowed: isAllowed, answer, held: answer.isSuccess == isAllowed))
        }
        let key = own.folder + "packs/own"
        let list = [("list-type", "2"), ("prefix", own.folder)]
        try await attempt("store in the own folder", isAllowed: true, "PUT", key, body: [1, 2, 3])
        try await attempt("read in the own folder", isAllowed: true, "GET", key)
        try await attempt("list the own folder", isAllowed: true, "GET", nil, query: list)
        try await attempt("read the repository's configuration", isAllowed: true, "GET", own.configuration)
        try await attempt("replace the repository's configuration", "PUT", own.configuration, body: [1])
        try await attempt("delete in the own folder", "DELETE", key)
        try await attempt("read a neighbour's object", "GET", neighbourKey)
        try await attempt("look at a neighbour's object", "HEAD", neighbourKey)
        try await attempt("replace a neighbour's object", "PUT", neighbourKey, body: [1])
        try await attempt("delete a neighbour's object", "DELETE", neighbourKey)
        let foreign = [("list-type", "2"), ("prefix", neighbour.folder)]
        try await attempt("list a neighbour's folder", "GET", nil, query: foreign)
        try await attempt("list the bucket", "GET", nil, query: [("list-type", "2"), ("prefix", "")])
        let source = ("x-amz-copy-source", "/\(storage.settings.bucket)/\(neighbourKey)")
        try await attempt("copy a neighbour's object", "PUT", own.folder + "packs/copied", headers: [source])
        let ownSource = ("x-amz-copy-source", "/\(storage.settings.bucket)/\(key)")
        try await attempt("copy to a neighbour", "PUT", neighbour.folder + "packs/copied", headers: [ownSource])
        for setting in ["acl", "policy", "versioning", "lifecycle", "cors"] {
            try await attempt("read the bucket's \(setting)", "GET", nil, query: [(setting, "")])
        }
        try await attempt(
            "publish an object",
            "PUT",
            key,
            query: [("acl", "")],
            headers: [("x-amz-acl", "public-read")]
        )
        try await attempt("list unfinished uploads", "GET", nil, query: [("uploads", "")])
        if storage.settings.usesPathStyle {
            let other = [("list-type", "2")]
            try await attempt("list another bucket", "GET", nil, query: other, bucket: "hawser-no-such-bucket")
        }
        let untouched = try await object(neighbourKey) == treasure
        findings.append(
            FenceFinding(
                access: .sts,
                attempt: "what the neighbour has",
                isAllowed: true,
                answer: untouched ? "as it was" : "changed",
                held: untouched
            )
        )
        findings.append(
            try await tamper("reach a neighbour by a changed token", session) { changed in
                let read = try await raw.send("GET", neighbourKey, as: changed)
                let written = try await raw.send("PUT", neighbour.folder + "packs/tampered", body: [1], as: changed)
                return read.isSuccess || written.isSuccess
            }
        )
        let (reader, _) = try await issuer.assume(storage, own, .purpose(.restore), atMost: 900)
        findings.append(
            try await tamper("store by a changed token for reading", reader) { changed in
                try await raw.send("PUT", own.folder + "packs/tampered", body: [1], as: changed).isSuccess
            }
        )
        findings += try await assumeAgain(session, client)
        if storage.settings.sts?.principal != nil { findings += try await ownRoles(session, client) }
        return findings
    }

    /// On Ceph 16 one changed character of the token made the storage drop the session's policy.
    private func tamper(
        _ attempt: String,
        _ session: S3Credentials,
        _ reaches: (S3Credentials) async throws -> Bool
    ) async throws -> FenceFinding {
        let characters = Array(session.sessionToken.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "")
        let count = min(Self.tampered, characters.count)
        var reached = 0
        for step in 0..<count {
            let position = step * characters.count / count
            var changed = characters
            changed[position] = changed[position] == "A" ? "B" : "A"
            let credentials = S3Credentials(
                accessKeyID: session.accessKeyID,
                secretAccessKey: session.secretAccessKey,
                sessionToken: Secret(Array(String(changed).utf8))
            )
            if try await reaches(credentials) { reached += 1 }
        }
        return FenceFinding(
            access: .sts,
            attempt: attempt,
            isAllowed: false,
            answer: "\(reached) of \(count) did",
            held: reached == 0
        )
    }

    /// Where folders have roles: a session changes none, gets into no other, and ends when its role does.
    private func ownRoles(_ session: S3Credentials, _ client: HTTPClient) async throws -> [FenceFinding] {
        var findings: [FenceFinding] = []
        func note(_ attempt: String, _ answer: String, held: Bool) {
            findings.append(
                FenceFinding(access: .sts, attempt: attempt, isAllowed: false, answer: answer, held: held)
            )
        }
        func isRefused(_ attempt: String, _ body: () async throws -> Void) async throws {
            do {
                try await body()
                note(attempt, "done", held: false)
            } catch let error as HawserError where !error.isRetryable {
                // A request that the storage did not understand has shown nothing.
                note(attempt, "\(error.code)", held: error.code != .invalidArgument)
            }
        }
        // So that there is one to get into.
        _ = try await issuer.assume(storage, neighbour, .purpose(.backup), atMost: 900)
        try await isRefused("assume a neighbour's role") {
            _ = try await issuer.assume(storage, neighbour, policy: nil, as: session, client)
        }
        let roles = try issuer.roleClient(storage, client)
        try await isRefused("widen the own role") {
            _ = try await roles.put(
                FolderRole.write.name(own.id),
                trust: FolderPolicy.trust(principal: "*", referer: "known"),
                policy: neighbour.document(.purpose(.full)),
                longest: .seconds(3600),
                with: StaticCredentials(session)
            )
        }
        try await isRefused("remove a neighbour's role") {
            try await roles.remove(FolderRole.write.name(neighbour.id), with: StaticCredentials(session))
        }
        try await issuer.removeRoles(storage, folder: own.id)
        let after = try await raw.send("GET", own.folder + "packs/own", as: session)
        note("read after the role was removed", "HTTP \(after.status)", held: !after.isSuccess)
        // Nor does another role of the same name wake it.
        _ = try await issuer.assume(storage, own, .purpose(.backup), atMost: 900)
        let again = try await raw.send("GET", own.folder + "packs/own", as: session)
        note("read when a role of the same name was made", "HTTP \(again.status)", held: !again.isSuccess)
        return findings
    }

    /// Credentials got with the credentials reach no further.
    private func assumeAgain(_ session: S3Credentials, _ client: HTTPClient) async throws -> [FenceFinding] {
        let wide = #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#
        var findings: [FenceFinding] = []
        for (what, policy) in [("without a policy", nil), ("with a wide policy", wide)] {
            var answer = "refused"
            var held = true
            do {
                let other = try await issuer.assume(storage, own, policy: policy, as: session, client)
                let read = try await raw.send("GET", neighbourKey, as: other)
                (answer, held) = ("granted, and a neighbour's object: HTTP \(read.status)", !read.isSuccess)
            } catch let error as HawserError where !error.isRetryable {
                answer = "\(error.code)"
            }
            findings.append(
                FenceFinding(
                    access: .sts,
                    attempt: "assume the role again \(what)",
                    isAllowed: false,
                    answer: answer,
                    held: held
                )
            )
        }
        return findings
    }
}
