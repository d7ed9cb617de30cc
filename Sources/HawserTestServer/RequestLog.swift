public import HawserFormat
import Synchronization

/// What a request wants.
public enum RequestKind: String, CaseIterable, Hashable, Sendable {
    case put, get, head, delete, deleteMany, list
    case listVersions, listUploads, listParts, abortUpload
    case listBuckets, headBucket, createBucket
    /// The location, versioning or object lock of a bucket.
    case bucketSettings
    /// The retention of an object.
    case retention
    case sts
    /// What this server does not have: making multipart uploads, and most of the rest of S3.
    case unknown
}

/// A request as the server saw and answered it.
public struct RequestRecord: Sendable {
    /// From 1, in the order of arrival.
    public var number: Int
    public var kind: RequestKind
    public var method: String
    /// Path and query as they were sent.
    public var target: String
    public var bucket: String?
    /// Of a list, the prefix asked for.
    public var key: String?
    /// By names in lower case.
    public var headers: [String: String]
    public var accessKeyID: String?
    public var arrived: Timestamp
    /// `nil` when the connection ended without an answer.
    public var status: Int?
    /// Of the error.
    public var code: String?
    /// Bytes of the bodies.
    public var bytesIn = 0
    public var bytesOut = 0

    /// By which name the server was asked, without the port.
    public var host: String? { headers["host"].map { String($0.prefix { $0 != ":" }) } }
}

public struct RequestCounts: Hashable, Sendable {
    /// All that arrived, answered or not.
    public var byKind: [RequestKind: Int] = [:]
    /// All that were answered.
    public var byStatus: [Int: Int] = [:]
    /// Bytes of the bodies.
    public var bytesIn = 0
    public var bytesOut = 0

    public var total: Int { byKind.values.reduce(0, +) }

    public subscript(kind: RequestKind) -> Int { byKind[kind, default: 0] }
    public subscript(status status: Int) -> Int { byStatus[status, default: 0] }
}

final class RequestLog: Sendable {
    private struct State {
        var arrived = 0
        var counts = RequestCounts()
        /// A ring once it is full.
        var records: [RequestRecord] = []
        var oldest = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    var counts: RequestCounts { state.withLock { $0.counts } }

    /// Oldest first.
    var records: [RequestRecord] {
        state.withLock { Array($0.records[$0.oldest...] + $0.records[..<$0.oldest]) }
    }

    func arrive(_ kind: RequestKind) -> Int {
        state.withLock { state in
            state.arrived += 1
            state.counts.byKind[kind, default: 0] += 1
            return state.arrived
        }
    }

    func finish(_ record: RequestRecord) {
        state.withLock { state in
            if let status = record.status { state.counts.byStatus[status, default: 0] += 1 }
            state.counts.bytesIn += record.bytesIn
            state.counts.bytesOut += record.bytesOut
            if state.records.count < limit {
                state.records.append(record)
            } else if limit > 0 {
                state.records[state.oldest] = record
                state.oldest = (state.oldest + 1) % limit
            }
        }
    }

    func reset() {
        state.withLock { state in
            state.counts = RequestCounts()
            state.records = []
            state.oldest = 0
        }
    }
}
