import HawserFormat
import HawserStorage
import NIOHTTP1

/// DeleteObjects: up to 1,000 keys in a request. Gives what went wrong with single keys.
struct DeleteManyOperation: S3Operation {
    /// What the protocol allows in one request.
    static let mostKeys = 1_000

    let place: String
    let body: [UInt8]

    /// - Parameter folder: of the store.
    init(_ keys: ArraySlice<ObjectKey>, folder: String) {
        place = keys.first?.path ?? ""
        body = S3DeleteRequest.xml(keys.map { (folder + $0.path, nil) })
    }

    /// - Parameter folder: of the store.
    init(_ versions: ArraySlice<StoredVersion>, folder: String) {
        place = versions.first?.key ?? ""
        body = S3DeleteRequest.xml(versions.map { (folder + $0.key, $0.version) })
    }

    func request(at location: S3Location) -> SigV4Request {
        SigV4Request(
            method: "POST",
            host: location.host,
            path: location.path(nil),
            query: [("delete", "")],
            // This request is refused without a checksum; MD5 is the one that every storage knows.
            headers: [("content-type", "application/xml"), ("content-md5", contentMD5(body))],
            payload: .sha256(.sha256(of: body))
        )
    }

    // 1,000 errors, each with a key of 1,024 bytes and a message.
    private static let longestBody = 4 << 20

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .atMost(Self.longestBody) }

    func output(_ answer: S3Answer) throws -> [S3Failure] {
        guard let result = S3DeleteResult(xml: answer.body) else {
            throw foreign("The answer to a deletion is not of S3.")
        }
        // A failure that comes after the server has begun to answer.
        if let code = result.code {
            throw S3Failure(status: 500, code: code, message: result.message, head: answer.head)
        }
        return (result.errors ?? []).filter { $0.code != "NoSuchKey" && $0.code != "NoSuchVersion" }.map {
            S3Failure(status: answer.head.status, code: $0.code, message: $0.message, key: $0.key, head: answer.head)
        }
    }
}
