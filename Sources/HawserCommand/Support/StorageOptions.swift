import ArgumentParser
import Hawser

/// What a storage other than a folder needs besides its location.
struct StorageOptions: ParsableArguments {
    @Option(
        name: .customLong("cacert"),
        help: ArgumentHelp(
            "Trust the certificates in this file (PEM) as well as the system's. [AWS_CA_BUNDLE]",
            valueName: "file"
        ),
        completion: .file()
    )
    var certificateAuthorities: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Set s3.region, s3.bucket-lookup (auto, dns, path), s3.connections or s3.profile.",
            valueName: "key=value"
        )
    )
    var option: [String] = []

    func validate() throws {
        _ = try s3()
    }

    func s3() throws -> S3Settings {
        var settings = S3Settings()
        settings.certificateAuthorities = certificateAuthorities
        for text in option {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[1].isEmpty else {
                throw ValidationError("An option is written key=value: «\(displayText(text.rawBytes))» is not.")
            }
            try set(parts[0], parts[1], &settings)
        }
        return settings
    }

    private func set(_ key: String, _ value: String, _ settings: inout S3Settings) throws {
        switch key {
        case "s3.region": settings.region = value
        case "s3.profile": settings.profile = value
        case "s3.bucket-lookup":
            switch value {
            case "auto": settings.addressing = nil
            case "dns": settings.addressing = .virtualHost
            case "path": settings.addressing = .path
            default: throw ValidationError("s3.bucket-lookup is auto, dns or path.")
            }
        case "s3.connections":
            // Each costs a socket and, while it works, half a megabyte.
            guard let number = Int(value), (1...256).contains(number) else {
                throw ValidationError("s3.connections is a number from 1 to 256.")
            }
            settings.connections = number
        default:
            throw ValidationError("There is no option «\(displayText(key.rawBytes))».")
        }
    }
}
