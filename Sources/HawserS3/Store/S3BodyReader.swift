import HawserFormat
import HawserStorage

/// Takes a body in as it was planned. Pure.
struct S3BodyReader {
    private let plan: S3BodyPlan
    private(set) var bytes: [UInt8] = []
    private var skipped = 0
    private var dropped = 0

    // Read to its end, a body leaves a connection that can be used again; a long one is not worth that.
    private static let longestDropped = 64 << 10

    init(_ plan: S3BodyPlan) {
        self.plan = plan
        if case .exactly(let count, _, _) = plan { bytes.reserveCapacity(count) }
    }

    /// Returns whether nothing more is wanted.
    mutating func add(_ piece: some RandomAccessCollection<UInt8>) throws -> Bool {
        switch plan {
        case .ignore:
            dropped += piece.count
            return dropped > Self.longestDropped
        case .beginning(let count):
            bytes += piece.prefix(count - bytes.count)
            return bytes.count == count
        case .atMost(let count):
            guard piece.count <= count - bytes.count else {
                throw Self.error("The storage's answer is longer than it may be.", isRetryable: false)
            }
            bytes += piece
            return false
        case .exactly(let count, let offset, let restFollows):
            let skip = min(offset - skipped, piece.count)
            skipped += skip
            let rest = piece.dropFirst(skip)
            let taken = min(count - bytes.count, rest.count)
            bytes += rest.prefix(taken)
            guard taken == rest.count || restFollows else {
                throw Self.error("The storage gives more bytes than it said.")
            }
            return restFollows && bytes.count == count
        }
    }

    /// The body, when it has ended.
    func finish() throws -> [UInt8] {
        if case .exactly(let count, _, _) = plan, bytes.count < count {
            throw Self.error("The storage's answer ended after \(bytes.count) of \(count) bytes.")
        }
        return bytes
    }

    private static func error(_ message: String, isRetryable: Bool = true) -> HawserError {
        HawserError(.unavailable, message, isRetryable: isRetryable)
    }
}
