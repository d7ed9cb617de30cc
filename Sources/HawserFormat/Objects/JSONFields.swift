#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Takes the fields that a program knows out of a JSON object; what is left is unknown and kept.
struct JSONFields {
    private(set) var rest: JSONObject
    /// What the object is, for messages.
    private let what: String

    init(_ value: JSONValue, of what: String) throws {
        guard let object = value.object else { throw HawserError(.damaged, "A \(what) is not a JSON object.") }
        rest = object
        self.what = what
    }

    private func wrong(_ name: String) -> HawserError {
        HawserError(.damaged, "The field \(name) of a \(what) is missing or not what it must be.")
    }

    mutating func takeOptional<Value>(_ name: String, _ convert: (JSONValue) throws -> Value?) throws -> Value? {
        guard let value = rest[name] else { return nil }
        rest[name] = nil
        guard let converted = try convert(value) else { throw wrong(name) }
        return converted
    }

    mutating func take<Value>(_ name: String, _ convert: (JSONValue) throws -> Value?) throws -> Value {
        guard let value = try takeOptional(name, convert) else { throw wrong(name) }
        return value
    }

    // MARK: Text that may not be UTF-8

    mutating func takeText(_ name: String) throws -> [UInt8] {
        let text = try take(name, \.string)
        return try takeOptional(name + JSONObject.rawSuffix, JSONFields.raw) ?? Array(text.utf8)
    }

    mutating func takeTexts(_ name: String) throws -> [[UInt8]] {
        let texts = try take(name) { value in try value.array?.map { element in try Self.string(element, name) } }
        let invalid = wrong(name + JSONObject.rawSuffix)
        let raws = try takeOptional(name + JSONObject.rawSuffix) { value in
            try value.array?.map { element -> [UInt8]? in
                if element == .null { return nil }
                guard let raw = Self.raw(element) else { throw invalid }
                return raw
            }
        }
        guard let raws else { return texts.map { Array($0.utf8) } }
        guard raws.count == texts.count else { throw invalid }
        return zip(texts, raws).map { text, raw in raw ?? Array(text.utf8) }
    }

    private static func string(_ value: JSONValue, _ name: String) throws -> String {
        guard let string = value.string else { throw HawserError(.damaged, "The field \(name) holds more than texts.") }
        return string
    }

    static func raw(_ value: JSONValue) -> [UInt8]? {
        value.string.flatMap { Data(base64Encoded: $0) }.map { Array($0) }
    }
}

extension JSONObject {
    /// What the name of the second field of a text that is not UTF-8 ends with.
    static let rawSuffix = "_raw"

    /// The text, with U+FFFD for what is not UTF-8, and then also the bytes in base64.
    public mutating func set(text bytes: [UInt8], as name: String) {
        self[name] = .string(String(decoding: bytes, as: UTF8.self))
        if !Self.isUTF8(bytes) { self[name + Self.rawSuffix] = Self.raw(bytes) }
    }

    /// An array of texts; the second array, only if any text needs it, has `null` for those that don't.
    public mutating func set(texts: [[UInt8]], as name: String) {
        self[name] = .array(texts.map { .string(String(decoding: $0, as: UTF8.self)) })
        if !texts.allSatisfy(Self.isUTF8) {
            self[name + Self.rawSuffix] = .array(texts.map { Self.isUTF8($0) ? .null : Self.raw($0) })
        }
    }

    /// - Throws: `invalidArgument` outside the years 0 to 9999.
    public mutating func set(time: Timestamp, as name: String) throws {
        guard let text = time.text else { throw HawserError(.invalidArgument, "A time is out of range.") }
        self[name] = .string(text)
    }

    static func raw(_ bytes: [UInt8]) -> JSONValue {
        .string(Data(bytes).base64EncodedString())
    }

    private static func isUTF8(_ bytes: [UInt8]) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }
}

extension JSONValue {
    func identifier<Tag>() -> Identifier<Tag>? {
        string.flatMap { Identifier(hex: $0) }
    }

    var time: Timestamp? {
        string.flatMap(Timestamp.init(text:))
    }
}
