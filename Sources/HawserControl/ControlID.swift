/// Names a tenant, device, session, repository, storage or folder: 128 random bits, never reused.
public struct ControlID: Hashable, Sendable {
    /// 32 lower-case hexadecimal digits.
    public let text: String

    /// `nil` unless `text` is exactly 32 lower-case hexadecimal digits.
    public init?(_ text: some StringProtocol) {
        self.init(String(text))
    }

    /// Of its own, because generic code is slow here and each request has some.
    public init?(_ text: String) {
        guard text.utf8.count == 32,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        self.text = text
    }

    public static func random() -> ControlID {
        let digits = Array("0123456789abcdef")
        var generator = SystemRandomNumberGenerator()
        return ControlID(checked: String((0..<32).map { _ in digits[Int.random(in: 0..<16, using: &generator)] }))
    }

    private init(checked: String) {
        text = checked
    }
}

extension ControlID: CustomStringConvertible {
    public var description: String { text }
}

extension ControlID: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = ControlID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not 32 hexadecimal digits")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
