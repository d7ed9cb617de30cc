/// One of AWS' shared files, `~/.aws/config` or `~/.aws/credentials`: names of profiles and their settings.
///
/// As the SDKs read them ("Shared config and credentials files", AWS SDKs and Tools Reference Guide): `#` and `;` begin a
/// comment at the beginning of a line or behind a blank; names of settings don't depend on case; an indented line belongs
/// to the setting before it; a profile that is there twice is one; what stands twice counts the second time. Lines that
/// are none of that are passed over.
struct ProfileFile: Sendable {
    enum Kind {
        /// `[name]` is a profile.
        case credentials
        /// `[profile name]` is a profile, and `[default]`; other sections are none.
        case config
    }

    /// Settings, by profile and name.
    private(set) var profiles: [String: [String: String]] = [:]

    init() {}

    init(_ text: String, _ kind: Kind) {
        var profile: String?
        // `[profile default]` goes before `[default]`, wherever they stand.
        var plainDefault: [String: String] = [:]
        var isPlainDefault = false
        for line in text.split(whereSeparator: \.isNewline) {
            guard let first = line.first, first != "#", first != ";" else { continue }
            let content = Self.withoutComment(line)
            guard !content.isEmpty else { continue }
            if first == "[" {
                (profile, isPlainDefault) = Self.profile(content, kind)
                if let profile, !isPlainDefault { profiles[profile, default: [:]].merge([:]) { $1 } }
                continue
            }
            // Belongs to a setting like `s3`, which has settings of its own; none of them concerns us.
            if first.isWhitespace { continue }
            guard profile != nil, let equals = content.firstIndex(of: "=") else { continue }
            let name = content[..<equals].trimmed().lowercased()
            let value = String(content[content.index(after: equals)...].trimmed())
            guard !name.isEmpty else { continue }
            if isPlainDefault {
                plainDefault[name] = value
            } else if let profile {
                profiles[profile, default: [:]][name] = value
            }
        }
        if profiles["default"] == nil, isPlainDefault || !plainDefault.isEmpty { profiles["default"] = plainDefault }
    }

    private static func profile(_ line: Substring, _ kind: Kind) -> (name: String?, isPlainDefault: Bool) {
        guard let end = line.firstIndex(of: "]") else { return (nil, false) }
        let section = line[line.index(after: line.startIndex)..<end].trimmed()
        switch kind {
        case .credentials:
            // One with a blank would be a section of the other file.
            return (section.isEmpty || section.contains(where: \.isWhitespace) ? nil : String(section), false)
        case .config:
            if section == "default" { return ("default", true) }
            let word = section.prefix { !$0.isWhitespace }
            let name = section.dropFirst(word.count).trimmed()
            guard word == "profile", !name.isEmpty else { return (nil, false) }
            return (String(name), false)
        }
    }

    private static func withoutComment(_ line: Substring) -> Substring {
        var previous: Character = "x"
        for index in line.indices {
            if line[index] == "#" || line[index] == ";", previous.isWhitespace { return line[..<index].trimmed() }
            previous = line[index]
        }
        return line.trimmed()
    }
}

extension Substring {
    fileprivate func trimmed() -> Substring {
        var text = drop(while: \.isWhitespace)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
