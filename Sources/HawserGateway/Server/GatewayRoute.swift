import HTTPTypes
import HawserControl
import HawserFormat
import HawserStorage
import HummingbirdCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A request's line, understood.
enum GatewayRoute: Sendable {
    struct Query: Sendable {
        var prefix = ""
        var after: ObjectKey?
        var limit = ObjectListing.pageSize
    }

    case put(ObjectKey)
    case get(ObjectKey)
    case head(ObjectKey)
    case list(Query)
    case unknown

    var name: String {
        switch self {
        case .put: "put"
        case .get: "get"
        case .head: "head"
        case .list: "list"
        case .unknown: "none"
        }
    }

    init(_ request: Request) {
        let target = request.head.path ?? ""
        let path = target.prefix { $0 != "?" }
        if path == GatewayAPI.objects, request.method == .get {
            let query = Self.query(target.dropFirst(path.count + 1))
            self = query.map(Self.list) ?? .unknown
            return
        }
        let prefix = GatewayAPI.objects + "/"
        // The grammar has no escapes and no dots: what does not match it as it is, is none.
        guard path.hasPrefix(prefix), path.utf8.count == target.utf8.count,
            let key = ObjectKey(path.dropFirst(prefix.count))
        else {
            self = .unknown
            return
        }
        switch request.method {
        case .put: self = .put(key)
        case .get: self = .get(key)
        case .head: self = .head(key)
        default: self = .unknown
        }
    }

    /// Prefixes and keys of the grammar need no escapes, but a client may have escaped slashes.
    private static func query(_ text: Substring) -> Query? {
        var query = Query()
        for field in text.split(separator: "&") {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return nil }
            let value = String(parts[1]).replacing("%2F", with: "/").replacing("%2f", with: "/")
            switch parts[0] {
            case "prefix":
                guard value.utf8.count <= 256, value.utf8.allSatisfy({ isOfKey($0) }) else { return nil }
                query.prefix = value
            case "after":
                guard let key = ObjectKey(value) else { return nil }
                query.after = key
            case "limit":
                guard let limit = Int(value), (1...ObjectListing.pageSize).contains(limit) else { return nil }
                query.limit = limit
            default: break
            }
        }
        return query
    }

    private static func isOfKey(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// `bytes=FIRST-LAST`; `nil` without a range.
    ///
    /// - Throws: `invalidArgument` for every other kind of range.
    static func range(_ request: Request) throws -> Range<Int>? {
        guard let text = request.headers[.range] else { return nil }
        let parts = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard text.hasPrefix("bytes="), parts.count == 2, let first = Int(parts[0]), let last = Int(parts[1]),
            0 <= first, first <= last, last < maximumObjectLength
        else { throw HawserError(.invalidArgument, "A range is `bytes=FIRST-LAST`.") }
        return first..<last + 1
    }
}
