public import HawserFormat

/// Something that is not as it must be in a repository.
public struct CheckFinding: Sendable {
    public enum Severity: Hashable, Sendable {
        /// Costs time or space, but no data.
        case warning
        /// Data can't be restored, or is in danger.
        case error
    }

    /// What of a snapshot can't be restored because of a finding.
    public struct Harm: Hashable, Sendable {
        public var snapshot: ObjectName
        /// Files and other entries; an estimate where a page that names them can't be read.
        public var entries: UInt64
        /// At most `pathLimit`; of a page that can't be read, the first path in it.
        public var firstPaths: [EntryPath]

        public static let pathLimit = 10
    }

    /// A command that helps.
    public struct Remedy: Hashable, Sendable, CustomStringConvertible {
        public let command: String
        public var description: String { command }

        public static let repairIndex = Remedy(command: "hawser repair index")
        public static let prune = Remedy(command: "hawser prune")
        public static let repairPacks = Remedy(command: "hawser repair packs")
        public static let repairSnapshots = Remedy(command: "hawser repair snapshots")
        public static let forget = Remedy(command: "hawser forget")
        public static let removeKey = Remedy(command: "hawser key remove")
    }

    public var severity: Severity
    /// The object, or what its key begins with when no single object is to blame.
    public var key: String
    /// What is wrong.
    public var error: HawserError
    public var remedy: Remedy?
    /// What it hurts, known when the check ends.
    public var harm: [Harm] = []
}

/// What a running check tells.
public enum CheckEvent: Sendable {
    public enum Phase: Hashable, Sendable {
        case keys, snapshots, index, packs, data, trees, refs, harm
    }

    case began(Phase)
    /// With its harm unknown.
    case found(CheckFinding)
    /// Packs and bytes that have been read whole, of all that are to be.
    case read(packs: Int, bytes: UInt64, ofPacks: Int, ofBytes: UInt64)
}

/// What a check came to.
public struct CheckSummary: Sendable {
    /// With their harm.
    public var findings: [CheckFinding] = []
    public var snapshots = 0
    /// Named by refs and not there, in ascending order: forgotten or tagged since the last prune, of a backup that was interrupted
    /// or is running, or removed. Nothing in the repository tells these apart.
    public var absentSnapshots: [ObjectName] = []
    public var packs = 0
    public var packsRead = 0
    public var bytesRead: UInt64 = 0
    /// Tree pages, content lists and attribute blobs that were read.
    public var nodes = 0

    public var errorCount: Int { findings.count { $0.severity == .error } }
    public var warningCount: Int { findings.count { $0.severity == .warning } }
}

/// The findings of a running check.
struct CheckLog {
    let report: @Sendable (CheckEvent) -> Void
    var summary = CheckSummary()

    /// Takes over what another log has beyond this one, and reports it.
    mutating func adopt(_ later: CheckLog) {
        for finding in later.summary.findings[summary.findings.count...] { report(.found(finding)) }
        summary = later.summary
    }

    /// - Returns: its number.
    @discardableResult
    mutating func add(
        _ key: String,
        _ error: HawserError,
        _ severity: CheckFinding.Severity = .error,
        remedy: CheckFinding.Remedy? = nil
    ) -> Int {
        let finding = CheckFinding(severity: severity, key: key, error: error, remedy: remedy)
        report(.found(finding))
        summary.findings.append(finding)
        return summary.findings.count - 1
    }

    mutating func addHarm(_ finding: Int, _ snapshot: ObjectName, entries: UInt64, first: EntryPath) {
        let harm = summary.findings[finding].harm
        if harm.last?.snapshot != snapshot {
            summary.findings[finding].harm.append(CheckFinding.Harm(snapshot: snapshot, entries: 0, firstPaths: []))
        }
        let last = summary.findings[finding].harm.count - 1
        let (sum, overflow) = summary.findings[finding].harm[last].entries.addingReportingOverflow(entries)
        summary.findings[finding].harm[last].entries = overflow ? .max : sum
        if summary.findings[finding].harm[last].firstPaths.count < CheckFinding.Harm.pathLimit {
            summary.findings[finding].harm[last].firstPaths.append(first)
        }
    }
}
