import HawserControl
import HawserFormat
import HawserS3

extension FenceCheck {
    private static let body = Array("the object that the ticket is for".utf8)

    /// Whoever holds a ticket may create exactly its object, once.
    func tickets() async throws -> [FenceFinding] {
        let signer = try await signer()
        let presigner = S3Presigner(try S3Configuration(storage.settings, folder: ""))
        let body = Self.body
        var count = 0
        func ticket() -> (key: String, S3Ticket) {
            count += 1
            let key = own.folder + "packs/ticket-\(count)"
            return (
                key,
                presigner.put(key, length: body.count, sha256: ObjectName(hashOf: body), seconds: 900, with: signer)
            )
        }
        var findings: [FenceFinding] = []
        /// Nothing may be stored.
        func refuse(
            _ attempt: String,
            body: [UInt8] = body,
            change: (inout S3Ticket) -> Void = { _ in }
        ) async throws {
            var (key, ticket) = ticket()
            change(&ticket)
            let answer = try await raw.send("PUT", ticket.url, ticket.headers, body)
            let stored = try await object(key)
            findings.append(finding(.tickets, attempt, answer, held: !answer.isSuccess && stored == nil))
        }

        let (key, good) = ticket()
        let made = try await raw.send("PUT", good.url, good.headers, body)
        let isMade = try await object(key) == body
        findings.append(
            finding(.tickets, "store the object of a ticket", isAllowed: true, made, held: made.isSuccess && isMade)
        )
        let again = try await raw.send("PUT", good.url, good.headers, body)
        findings.append(finding(.tickets, "store it again", again, held: !again.isSuccess))

        try await refuse("store more bytes", body: body + body)
        try await refuse("store fewer bytes", body: Array(body.dropLast()))
        try await refuse("store other bytes of the same length", body: body.reversed())
        try await refuse("store under another key") { $0.url = $0.url.replacing("/ticket-", with: "/other-") }
        try await refuse("leave out If-None-Match") { $0.headers.removeAll { $0.name == "if-none-match" } }
        try await refuse("leave out the SHA-256", body: body.reversed()) {
            $0.headers.removeAll { $0.name == "x-amz-content-sha256" }
        }
        findings.append(try await copy(ticket()))
        for header in [
            "x-amz-acl: public-read", "x-amz-grant-read: uri=http://acs.amazonaws.com/groups/global/AllUsers",
        ] {
            findings.append(try await publish(ticket(), header))
        }
        return findings
    }

    /// Those that sign uploads are fenced where the storage can make such.
    private func signer() async throws -> S3Credentials {
        guard storage.settings.sts != nil else { return owner }
        return try await issuer.assume(storage, own, .create, atMost: 900).0
    }

    /// CVE-2026-54330: a copy by the signer in place of the upload.
    private func copy(_ target: (key: String, ticket: S3Ticket)) async throws -> FenceFinding {
        let source = ("x-amz-copy-source", "/\(storage.settings.bucket)/\(neighbourKey)")
        let answer = try await raw.send("PUT", target.ticket.url, target.ticket.headers + [source], Self.body)
        let stored = try await object(target.key)
        return finding(
            .tickets,
            "copy a neighbour's object by an unsigned header",
            answer,
            held: stored == nil || stored == Self.body
        )
    }

    private func publish(_ target: (key: String, ticket: S3Ticket), _ header: String) async throws -> FenceFinding {
        let parts = header.split(separator: ":", maxSplits: 1).map { $0.drop { $0 == " " } }
        let headers =
            target.ticket.headers.filter { $0.name != String(parts[0]) } + [(String(parts[0]), String(parts[1]))]
        let answer = try await raw.send("PUT", target.ticket.url, headers, Self.body)
        let url = target.ticket.url.prefix { $0 != "?" }
        let anybody = try await raw.send("GET", String(url), [], [])
        return finding(.tickets, "publish the object by \(parts[0])", answer, held: !anybody.isSuccess)
    }
}
