#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Options that are not given on the command line are taken from the environment: `--max-connections` from
/// `HAWSER_RELAY_MAX_CONNECTIONS`. Of an option that can be given several times the variable holds a list with commas.
enum EnvironmentOptions {
    private static let prefix = "HAWSER_RELAY_"

    static func added(to arguments: [String], from environment: [String: String]) -> [String] {
        guard arguments.first == "relay" else { return arguments }
        var arguments = arguments
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(prefix) {
            let option = "--" + name.dropFirst(prefix.count).lowercased().replacingUnderscores
            if arguments.contains(where: { $0 == option || $0.hasPrefix(option + "=") }) { continue }
            let values = RelayCommand.lists.contains(option) ? value.split(separator: ",").map(String.init) : [value]
            // An option that isn't known is an error, as it is on the command line.
            for value in values { arguments.append("\(option)=\(value)") }
        }
        return arguments
    }
}

extension String {
    fileprivate var replacingUnderscores: String { String(map { $0 == "_" ? "-" : $0 }) }
}

func environment() -> [String: String] {
    var result: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
        let text = String(cString: entry)
        if let equals = text.firstIndex(of: "=") {
            result[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        next += 1
    }
    return result
}
