extension JSONValue {
    /// - Throws: `damaged` for anything that is not exactly one JSON value.
    public init(parsing bytes: [UInt8]) throws {
        var parser = JSONParser(bytes: bytes)
        self = try parser.parseDocument()
    }
}

private struct JSONParser {
    /// Real documents have three levels; the parser calls itself for each.
    private static let depthLimit = 64

    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func parseDocument() throws -> JSONValue {
        let value = try parseValue(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw invalid }
        return value
    }

    private var invalid: HawserError {
        HawserError(.damaged, "The text is not valid JSON at byte \(position).")
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ expected: Character) -> Bool {
        guard let byte = next, byte == expected.asciiValue else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ text: String) throws {
        guard bytes[position...].starts(with: text.utf8) else { throw invalid }
        position += text.utf8.count
    }

    private mutating func parseValue(depth: Int) throws -> JSONValue {
        guard depth < Self.depthLimit else { throw invalid }
        skipSpace()
        switch next {
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "["): return .array(try parseArray(depth: depth))
        case UInt8(ascii: "{"): return .object(try parseObject(depth: depth))
        default: return .number(try parseNumber())
        }
    }

    private mutating func parseArray(depth: Int) throws -> [JSONValue] {
        position += 1
        skipSpace()
        if take("]") { return [] }
        var elements: [JSONValue] = []
        repeat {
            elements.append(try parseValue(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw invalid }
        return elements
    }

    private mutating func parseObject(depth: Int) throws -> JSONObject {
        position += 1
        skipSpace()
        if take("}") { return JSONObject() }
        var fields: [JSONObject.Field] = []
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw invalid }
            let name = try parseString()
            skipSpace()
            guard take(":") else { throw invalid }
            fields.append(JSONObject.Field(name: name, value: try parseValue(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}"), let object = JSONObject(parsed: fields) else { throw invalid }
        return object
    }

    // MARK: Numbers

    private mutating func parseNumber() throws -> String {
        let start = position
        _ = take("-")
        if !take("0") { try parseDigits() }
        if take(".") { try parseDigits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try parseDigits()
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func parseDigits() throws {
        let start = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw invalid }
    }

    // MARK: Strings

    private mutating func parseString() throws -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw invalid }
                return string
            case UInt8(ascii: "\\"): try parseEscape(into: &text)
            case 0..<0x20: throw invalid
            default: text.append(byte)
            }
        }
        throw invalid
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws {
        guard let byte = next else { throw invalid }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try parseHexadecimal()
            if (0xd800..<0xdc00).contains(code) {
                try expect("\\u")
                let low = try parseHexadecimal()
                guard (0xdc00..<0xe000).contains(low) else { throw invalid }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw invalid }
            text += UTF8.encode(scalar).map(Array.init) ?? []
        default: throw invalid
        }
    }

    private mutating func parseHexadecimal() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw invalid
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}
