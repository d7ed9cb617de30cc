import HawserFormat
import HawserStorage

/// One request of ListObjectsV2.
struct ListOperation: S3Operation {
    let prefix: String
    let after: ObjectKey?
    let continuation: String?
    /// 1...1,000.
    let limit: Int

    // What the keys of several kinds begin with names nothing.
    var place: String { prefix.contains("/") ? prefix : "" }

    func request(at location: S3Location) -> SigV4Request {
        var request = SigV4Request(method: "GET", host: location.host, path: location.path(nil))
        request.query = [
            ("list-type", "2"), ("encoding-type", "url"), ("max-keys", String(limit)),
            ("prefix", location.prefix + prefix),
        ]
        if let continuation {
            request.query.append(("continuation-token", continuation))
        } else if let after {
            request.query.append(("start-after", location.prefix + after.path))
        }
        return request
    }

    // 1,000 objects, each with a key of 1,024 bytes, encoded threefold, and a kilobyte of all that there is besides.
    private static let longestBody = 4 << 20

    func plan(_ head: S3AnswerHead) -> S3BodyPlan { .atMost(Self.longestBody) }

    func output(_ answer: S3Answer) throws -> S3ListPage {
        guard let page = S3ListPage(xml: answer.body) else { throw foreign("The answer to a list is no list.") }
        return page
    }
}

/// What a list request gave, as the storage has it.
struct S3ListPage: Sendable {
    struct Object: Sendable {
        /// From the bucket's root, decoded.
        let key: String
        let length: Int
        let stored: Timestamp?
    }

    var objects: [Object]
    var isTruncated: Bool
    var continuation: String?
}

/// Puts a page of one prefix together from as many requests as that takes. Pure: the owner asks.
///
/// Objects that are not of the format's grammar are skipped, as are keys that were given already. Keys that go back,
/// and pages that lead nowhere, are an error: a storage that repeats its lists must not keep anybody busy for ever.
struct S3ListAssembly {
    private let folder: String
    private let prefix: String
    private let after: ObjectKey?
    private let limit: Int

    private(set) var objects: [ObjectInfo] = []
    private var continuation: String?
    /// The last key that a request may ask to go on behind.
    private var last: ObjectKey?
    private var emptyPages = 0

    // In a row, with nothing of ours: a million foreign objects or markers of deleted ones in one place.
    private static let mostEmptyPages = 1_000

    init(folder: String, prefix: String, after: ObjectKey?, limit: Int) {
        self.folder = folder
        self.prefix = prefix
        self.after = after
        self.limit = limit
        last = after
    }

    var nextRequest: ListOperation {
        ListOperation(prefix: prefix, after: last, continuation: continuation, limit: limit)
    }

    /// Takes the answer to `nextRequest`. Returns whether the page is complete.
    mutating func add(_ page: S3ListPage) throws -> Bool {
        let count = objects.count
        for object in page.objects {
            guard let key = key(object) else { continue }
            // A server that does not know start-after begins at the beginning.
            if let after, key <= after { continue }
            if let previous = objects.last?.key {
                if key == previous { continue }
                guard key > previous else { throw outOfOrder(key) }
            }
            objects.append(ObjectInfo(key: key, length: object.length, stored: object.stored))
            if objects.count == limit { return true }
        }
        guard page.isTruncated else { return true }
        last = objects.last?.key ?? after
        emptyPages = objects.count == count ? emptyPages + 1 : 0
        let leadsOn = page.continuation.map { $0 != continuation } ?? (objects.count > count)
        guard leadsOn, emptyPages <= Self.mostEmptyPages else {
            throw HawserError(
                .unavailable,
                "The storage's list does not go on: it gives the same page again and again.",
                place: last?.path ?? prefix
            )
        }
        continuation = page.continuation
        return false
    }

    private func key(_ object: S3ListPage.Object) -> ObjectKey? {
        // By bytes: Swift's strings have equal characters where the storage has different keys.
        guard object.key.utf8.starts(with: folder.utf8),
            let key = ObjectKey(String(decoding: object.key.utf8.dropFirst(folder.utf8.count), as: UTF8.self)),
            key.path.utf8.starts(with: prefix.utf8)
        else { return nil }
        return key
    }

    private func outOfOrder(_ key: ObjectKey) -> HawserError {
        HawserError(.unavailable, "The storage lists its objects out of order.", place: key.path)
    }
}
