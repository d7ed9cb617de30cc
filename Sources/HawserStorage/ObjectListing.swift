public import HawserFormat

/// The objects under a prefix, in ascending order of their keys, one page in memory at a time.
public struct ObjectListing: AsyncSequence, Sendable {
    public typealias Element = ObjectInfo
    public typealias Failure = any Error
    /// Gives at most `limit` objects behind `after`; fewer only at the end.
    public typealias Page = @Sendable (_ after: ObjectKey?, _ limit: Int) async throws -> [ObjectInfo]

    /// The most that one list request of S3 or Azure gives.
    public static let pageSize = 1_000

    private let pageSize: Int
    private let page: Page

    /// - Parameter pageSize: 1...1,000.
    public init(pageSize: Int = Self.pageSize, page: @escaping Page) {
        self.pageSize = pageSize
        self.page = page
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(pageSize: pageSize, page: page)
    }

    public struct Iterator: AsyncIteratorProtocol {
        private let pageSize: Int
        private let page: Page
        private var objects: ArraySlice<ObjectInfo> = []
        private var last: ObjectKey?
        private var isFinished = false

        init(pageSize: Int, page: @escaping Page) {
            self.pageSize = pageSize
            self.page = page
        }

        public mutating func next() async throws -> ObjectInfo? {
            try await next(isolation: #isolation)
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> ObjectInfo? {
            if objects.isEmpty, !isFinished {
                try Task.checkCancellation()
                let fetched = try await page(last, pageSize)
                // A store that gives the same page again would make this loop for ever.
                if let first = fetched.first, let last, first.key <= last {
                    throw HawserError(
                        .unavailable,
                        "The storage lists its objects out of order.",
                        place: first.key.path
                    )
                }
                isFinished = fetched.count < pageSize
                last = fetched.last?.key ?? last
                objects = fetched[...]
            }
            return objects.popFirst()
        }
    }
}

extension ObjectStore {
    /// All objects whose path begins with `prefix`, in order.
    public func objects(prefix: String) -> ObjectListing {
        ObjectListing { after, limit in try await list(prefix: prefix, after: after, limit: limit) }
    }

    public func objects(_ kind: ObjectKind) -> ObjectListing {
        objects(prefix: kind.prefix)
    }
}
