import ArgumentParser

/// Lets options that all commands have stand before the command, as in `hawser -r /backup backup /home`: the argument
/// parser only takes them behind it.
enum LeadingOptions {
    private static let withValue: Set<String> = [
        "-r", "--repository", "--repo", "--password-file", "--password-command", "--cache-dir", "--memory",
        "--subtenant", "--limit-upload", "--limit-download", "--limit-file", "--cacert", "-o", "--option",
    ]
    private static let flags: Set<String> = ["--no-cache", "--json", "-q", "--quiet", "-v", "--verbose"]

    /// The same arguments with what stands before the command moved behind it.
    static func movedBehindCommand(_ arguments: [String], root: any ParsableCommand.Type) -> [String] {
        var rest = arguments[...]
        var leading: [String] = []
        while let option = rest.first {
            if flags.contains(option) || withValue.contains(where: { option.hasPrefix($0 + "=") }) {
                leading.append(rest.removeFirst())
            } else if withValue.contains(option), rest.count > 1 {
                leading += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else {
                break
            }
        }
        if leading.isEmpty { return arguments }
        var names: [String] = []
        var command = root
        while let name = rest.first,
            let next = command.configuration.subcommands.first(where: { $0._commandName == name })
        {
            names.append(rest.removeFirst())
            command = next
        }
        return names + leading + rest
    }
}
