import GRDB
import HawserControl
import HawserFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Values of the model as columns hold them.
extension Row {
    /// - Throws: `damaged`: the database was changed by something else than this program.
    func id(_ column: String) throws -> ControlID {
        guard let id = try optionalID(column) else { throw Self.damaged(column) }
        return id
    }

    func optionalID(_ column: String) throws -> ControlID? {
        guard let text = self[column] as String? else { return nil }
        guard let id = ControlID(text) else { throw Self.damaged(column) }
        return id
    }

    func moment(_ column: String) -> Moment? {
        (self[column] as Int64?).map { Moment(milliseconds: $0) }
    }

    func bytes(_ column: String) -> [UInt8]? {
        (self[column] as Data?).map { Array($0) }
    }

    func json<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data((self[column] as String).utf8))
        } catch {
            throw Self.damaged(column, error)
        }
    }

    func optionalJSON<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value? {
        (self[column] as String?) == nil ? nil : try json(column, as: type)
    }

    func choice<Value: RawRepresentable<String>>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        guard let value = (self[column] as String?).flatMap(Value.init) else { throw Self.damaged(column) }
        return value
    }

    static func damaged(_ column: String, _ cause: (any Error)? = nil) -> HawserError {
        HawserError(
            .damaged,
            "The configuration database holds a value that this program did not write. Restore it from a backup.",
            place: column,
            cause: cause
        )
    }
}

/// As a column holds it; fields in one order, so that equal values are equal text.
func jsonText(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}
