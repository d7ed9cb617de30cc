/// A JSON value that loses nothing: numbers keep their digits, and fields that a program does not know can be written back.
///
/// Written in one way: fields ascending by the bytes of their names, no spaces. The parser is strict (RFC 8259, UTF-8,
/// no field twice, at most 64 levels).
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The digits as they stand in the text; integers above 2^53 are not rounded.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    public static func integer(_ value: some FixedWidthInteger) -> JSONValue { .number(String(value)) }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// `nil` unless it is an integer that fits.
    public func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value? {
        if case .number(let digits) = self { Value(digits) } else { nil }
    }

    /// The text as UTF-8.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += value ? "true".utf8 : "false".utf8
        case .number(let digits): bytes += digits.utf8
        case .string(let text): Self.append(text: text.utf8, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            for (index, field) in object.fields.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.append(text: field.name.utf8, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                field.value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Writes a string of JSON, in its quotes: for text that must not lie in a `String`.
    ///
    /// - Parameter text: UTF-8.
    public static func append(text: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case UInt8(ascii: "\n"): bytes += "\\n".utf8
            case UInt8(ascii: "\r"): bytes += "\\r".utf8
            case UInt8(ascii: "\t"): bytes += "\\t".utf8
            case 0..<0x20: bytes += "\\u00\([byte].hex)".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// The fields of a JSON object, ascending by the bytes of their names.
public struct JSONObject: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        public var name: String
        public var value: JSONValue
    }

    public private(set) var fields: [Field] = []

    public init() {}

    /// `nil` if a name is there twice. Names are compared as bytes: Swift takes different encodings of a letter as equal.
    init?(parsed: [Field]) {
        fields = parsed.sorted { Self.precedes($0.name, $1.name) }
        guard zip(fields, fields.dropFirst()).allSatisfy({ Self.precedes($0.name, $1.name) }) else { return nil }
    }

    /// Setting `nil` removes the field.
    public subscript(name: String) -> JSONValue? {
        get { fields.first { $0.name.utf8.elementsEqual(name.utf8) }?.value }
        set {
            let index = fields.firstIndex { !Self.precedes($0.name, name) } ?? fields.endIndex
            let exists = index < fields.endIndex && fields[index].name.utf8.elementsEqual(name.utf8)
            switch (newValue, exists) {
            case (let value?, true): fields[index].value = value
            case (let value?, false): fields.insert(Field(name: name, value: value), at: index)
            case (nil, true): fields.remove(at: index)
            case (nil, false): break
            }
        }
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}
