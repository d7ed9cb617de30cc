import HawserFormat
import HawserStorage

/// How much is found out.
public enum ProbeDepth: Sendable {
    /// What decides how objects are written: five requests or six.
    case writing
    /// Everything: about twenty requests.
    case everything
}

extension S3ObjectStore {
    /// Finds out what the storage can do, by doing it with small objects below `probe/` in the store's folder, which are
    /// removed again. (A bucket with versions keeps them as it keeps everything.)
    ///
    /// - Throws: when the storage can't even store and read an object: what it says to that.
    public func probe(_ depth: ProbeDepth) async throws -> StorageProfile {
        let probe = StorageProbe(store: self)
        do {
            var profile = try await probe.run(depth)
            profile.leftovers = try await probe.cleanUp()
            return profile
        } catch {
            // The first error is the one to tell.
            _ = try? await probe.cleanUp()
            throw error
        }
    }
}

/// One probe: what it stores and learns.
private struct StorageProbe {
    let store: S3ObjectStore
    /// Another for every probe: two that run at once don't meet.
    private let folder = "probe/\(String(UInt64.random(in: 0 ... .max), radix: 16))/"

    init(store: S3ObjectStore) {
        self.store = store
    }

    private static let names = ["object", "race", "sha256", "md5", "many-1", "many-2"]
    private let body = Array("A probe of what this storage can do. It can be deleted.\n".utf8)
    private let otherBody = Array("Another body under the same name.\n".utf8)

    func run(_ depth: ProbeDepth) async throws -> StorageProfile {
        var profile = StorageProfile()
        let stored = try await put("object", body)
        profile.clockAhead = stored.head.date.map { date in .seconds(store.now().seconds - date.seconds) }
        profile.traits[.versioning] = stored.head["x-amz-version-id"].map { $0 != "null" } ?? false
        profile.traits[.conditionalPut] = try await isRefused { try await put("object", otherBody, Self.onlyNew) }
        profile.traits[.checksSHA256] = try await isRefused {
            try await put("sha256", body, wrongHash: .sha256(of: otherBody))
        }
        if depth == .everything || profile.traits[.checksSHA256] == false {
            let headers = [(name: "content-md5", value: contentMD5(otherBody))]
            profile.traits[.checksMD5] = try await isRefused { try await put("md5", body, headers) }
        }
        profile.region = store.region
        guard depth == .everything else { return profile }
        if profile.traits[.conditionalPut] == true { profile.traits[.atomicConditionalPut] = try await race() }
        profile.traits[.rangedGet] = try await isRanged()
        profile.traits[.freshLists] = try await isListed()
        profile.traits[.multiDelete] = try await deletesMany()
        profile.traits[.objectLock] = try await hasObjectLock()
        profile.traits[.sts] = try await hasSTS()
        return profile
    }

    /// - Returns: where something is left, because the keys may not delete: those of a machine that only backs up need
    ///   not.
    func cleanUp() async throws -> String? {
        do {
            for name in Self.names { try await delete(name) }
            return nil
        } catch let error as HawserError where error.code == .accessDenied {
            return folder
        }
    }

    // MARK: Questions

    private static let onlyNew = [(name: "if-none-match", value: "*")]

    /// Whether the storage refuses a request because of what it is, which no other reason may be taken for.
    private func isRefused(_ request: () async throws -> S3Answer) async throws -> Bool {
        do {
            _ = try await request()
            return false
        } catch let error as HawserError {
            guard let failure = error.cause as? S3Failure else { throw error }
            switch failure.meaning {
            case .exists: return true
            // It knows the header, and refuses it: then it can't be relied on.
            case .notImplemented: return false
            case .passing where failure.status == 400, .other where failure.status == 400: return true
            // The same keys were right a moment ago: it is the body that does not fit.
            case .wrongSignature: return true
            default: throw error
            }
        }
    }

    private func race() async throws -> Bool {
        async let first = isRefused { try await put("race", body, Self.onlyNew) }
        async let second = isRefused { try await put("race", otherBody, Self.onlyNew) }
        do {
            return try await [first, second].count { $0 } == 1
        } catch let error as HawserError where error.meaning == .passing {
            // Told to come again: so they did not both win.
            return true
        }
    }

    private func isRanged() async throws -> Bool {
        let answer = try await send("GET", "object", headers: [("range", "bytes=2-5")])
        // Whichever of the two is there.
        return [body, otherBody].contains { $0[2...5].elementsEqual(answer.body) }
    }

    private func isListed() async throws -> Bool {
        let answer = try await send(
            "GET",
            nil,
            query: [("list-type", "2"), ("max-keys", "10"), ("prefix", folder)]
        )
        guard let page = S3ListPage(xml: answer.body) else { return false }
        return page.objects.contains { $0.key.hasSuffix(folder + "object") }
    }

    private func deletesMany() async throws -> Bool {
        let names = ["many-1", "many-2"]
        for name in names { _ = try await put(name, body) }
        let xml = S3DeleteRequest.xml(names.map { (store.configuration.prefix + folder + $0, nil) })
        do {
            let answer = try await send(
                "POST",
                nil,
                query: [("delete", "")],
                headers: [("content-type", "application/xml"), ("content-md5", contentMD5(xml))],
                body: xml
            )
            return S3DeleteResult(xml: answer.body).map { ($0.errors ?? []).isEmpty } ?? false
        } catch let error as HawserError where error.meaning == .notImplemented {
            return false
        }
    }

    /// `nil` when the keys may not ask.
    private func hasObjectLock() async throws -> Bool? {
        do {
            let answer = try await send("GET", nil, query: [("object-lock", "")])
            return String(decoding: answer.body, as: UTF8.self).contains("<ObjectLockEnabled>Enabled<")
        } catch let error as HawserError {
            switch error.meaning {
            case .denied: return nil
            case .noObject, .notImplemented, .other: return false
            default: throw error
            }
        }
    }

    /// `nil` when it can't be told: keys of a session, for instance, may not ask for another.
    private func hasSTS() async throws -> Bool? {
        let sts = STSClient(store.configuration.stsEndpoint(), client: store.transport.client)
        do {
            // The shortest that Amazon and Ceph give.
            _ = try await sts.sessionToken(duration: .seconds(900), with: store.credentials)
            return true
        } catch let error as HawserError {
            return error.code == .unsupported ? false : nil
        }
    }

    // MARK: Requests

    private func put(
        _ name: String,
        _ body: [UInt8],
        _ headers: [(name: String, value: String)] = [],
        wrongHash: ObjectName? = nil
    ) async throws -> S3Answer {
        // A bucket that locks what it gets takes nothing without it.
        let hasOne = headers.contains { $0.name == "content-md5" }
        let checksum = hasOne ? [] : [(name: "content-md5", value: contentMD5(body))]
        return try await send("PUT", name, headers: headers + checksum, body: body, wrongHash: wrongHash)
    }

    private func delete(_ name: String) async throws {
        do {
            _ = try await send("DELETE", name)
        } catch let error as HawserError where error.meaning == .noObject {
            // Never stored, or deleted with others.
        }
    }

    private func send(
        _ method: String,
        _ name: String?,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = [],
        wrongHash: ObjectName? = nil
    ) async throws -> S3Answer {
        var operation = ProbeOperation(method: method, name: name.map { folder + $0 })
        operation.query = query
        operation.headers = headers
        operation.body = body
        operation.wrongHash = wrongHash
        // `RetryingStore` would repeat what a storage refuses for the request itself: here that is the answer.
        return try await store.persist(operation, RetryPolicy(maximumAttempts: 6)) { error in
            (error.cause as? S3Failure).map { $0.status < 500 } ?? false
        }
    }
}
