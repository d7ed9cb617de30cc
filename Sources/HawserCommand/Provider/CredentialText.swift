import CHawser
import Hawser

/// Exported credentials as other programs take them.
enum CredentialText {
    enum Form {
        /// What AWS' tools expect of a `credential_process`.
        case awsProcess
        /// Lines for a shell to evaluate.
        case env
        /// With all that is needed to find the folder.
        case json
    }

    private typealias Field = (name: String, value: Value)

    private enum Value {
        case number(Int)
        case flag(Bool)
        case text(String)
        case secret(Secret)

        /// Bytes.
        var count: Int {
            switch self {
            case .number, .flag: 20
            case .text(let text): text.utf8.count
            case .secret(let secret): secret.count
            }
        }
    }

    /// Calls `body` with the text, which is overwritten when it returns.
    static func withBytes<Result>(
        of exported: ExportedCredentials,
        as form: Form,
        _ body: ([UInt8]) throws -> Result
    ) rethrows -> Result {
        let fields = fields(exported, form)
        var bytes: [UInt8] = []
        // At once, so that it does not move and leave copies: an escape is six bytes at most.
        bytes.reserveCapacity(fields.reduce(16) { $0 + $1.name.utf8.count + 6 * $1.value.count + 16 })
        defer { bytes.withUnsafeMutableBytes { hawser_wipe($0.baseAddress, $0.count) } }
        switch form {
        case .env:
            for field in fields { appendLine(field, to: &bytes) }
        case .awsProcess, .json:
            for (index, field) in fields.enumerated() {
                bytes.append(index == 0 ? UInt8(ascii: "{") : UInt8(ascii: ","))
                JSONValue.append(text: field.name.utf8, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                append(field.value, to: &bytes) { JSONValue.append(text: $0, to: &$1) }
            }
            bytes += "}\n".utf8
        }
        return try body(bytes)
    }

    private static func fields(_ exported: ExportedCredentials, _ form: Form) -> [Field] {
        let (storage, credentials) = (exported.storage, exported.credentials)
        let end = end(exported).map(Value.text)
        let token = credentials.sessionToken.map(Value.secret)
        let all: [(name: String, value: Value?)] =
            switch form {
            case .awsProcess:
                [
                    ("Version", .number(1)), ("AccessKeyId", .text(credentials.accessKeyID)),
                    ("SecretAccessKey", .secret(credentials.secretAccessKey)), ("SessionToken", token),
                    ("Expiration", end),
                ]
            case .env:
                [
                    ("AWS_ACCESS_KEY_ID", .text(credentials.accessKeyID)),
                    ("AWS_SECRET_ACCESS_KEY", .secret(credentials.secretAccessKey)), ("AWS_SESSION_TOKEN", token),
                    ("AWS_CREDENTIAL_EXPIRATION", end), ("AWS_REGION", .text(storage.region)),
                    ("AWS_ENDPOINT_URL_S3", .text(storage.endpoint)),
                ]
            case .json:
                [
                    ("message_type", .text("credentials")), ("endpoint", .text(storage.endpoint)),
                    ("region", .text(storage.region)), ("bucket", .text(storage.bucket)),
                    ("folder", .text(exported.folder)), ("path_style", .flag(storage.usesPathStyle)),
                    ("certificate_authority", storage.authority.map(Value.text)),
                    ("access_key_id", .text(credentials.accessKeyID)),
                    ("secret_access_key", .secret(credentials.secretAccessKey)), ("session_token", token),
                    ("expiration", end),
                ]
            }
        return all.compactMap { field in field.value.map { (field.name, $0) } }
    }

    /// In whole seconds, which every parser takes: `2026-01-31T23:59:59Z`.
    private static func end(_ exported: ExportedCredentials) -> String? {
        (exported.credentials.expiration?.text).map { $0.prefix(19) + "Z" }
    }

    private static func append(
        _ value: Value,
        to bytes: inout [UInt8],
        quoting: (UnsafeRawBufferPointer, inout [UInt8]) -> Void
    ) {
        switch value {
        case .number(let number): bytes += String(number).utf8
        case .flag(let flag): bytes += (flag ? "true" : "false").utf8
        case .text(let text): Array(text.utf8).withUnsafeBytes { quoting($0, &bytes) }
        case .secret(let secret): secret.withUnsafeBytes { quoting($0, &bytes) }
        }
    }

    /// Quoted, so that a shell finds nothing to do in what a provider sends.
    private static func appendLine(_ field: Field, to bytes: inout [UInt8]) {
        bytes += "export \(field.name)=".utf8
        append(field.value, to: &bytes) { text, bytes in
            bytes.append(UInt8(ascii: "'"))
            for byte in text {
                if byte == UInt8(ascii: "'") { bytes += "'\\''".utf8 } else { bytes.append(byte) }
            }
            bytes.append(UInt8(ascii: "'"))
        }
        bytes.append(UInt8(ascii: "\n"))
    }
}
