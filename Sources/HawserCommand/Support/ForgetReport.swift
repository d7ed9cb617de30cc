import Hawser

/// What `forget` says about each snapshot.
enum ForgetReport {
    struct Group {
        var group: SnapshotGrouping.Group
        /// The newest first.
        var decisions: [RetentionDecision]
    }

    static func show(_ groups: [Group], groupBy: SnapshotGrouping) throws {
        if Console.shared.isJSON {
            Console.shared.json(array: try groups.map { .object(try json($0, groupBy)) })
        } else {
            for group in groups { print(group) }
        }
    }

    private static func print(_ group: Group) {
        let console = Console.shared
        if let title = SnapshotTable.title(group.group) { console.note("\n" + title) }
        for isKept in [true, false] {
            let part = group.decisions.filter { $0.isKept == isKept }
            if part.isEmpty { continue }
            console.note("\(isKept ? "keep" : "remove") \(counted(part.count, "snapshot")):")
            var rows = [["ID", "Time", "Host", "Tags", "Paths", "Reasons"]]
            for decision in part.reversed() {
                let snapshot = decision.candidate.stored.snapshot
                rows.append([
                    String(decision.candidate.stored.id.hex.prefix(8)),
                    time(decision.candidate),
                    displayText(snapshot.hostname),
                    snapshot.tags.map { displayText($0) }.joined(separator: ","),
                    snapshot.paths.map { displayText($0) }.joined(separator: " "),
                    isKept ? decision.reasons.map(\.description).joined(separator: ", ") : "no rule keeps it",
                ])
            }
            for line in Columns.align(rows) { console.note(line) }
        }
    }

    /// Seconds by which clocks may differ without a word.
    private static let closeness: UInt64 = 3600

    /// By which it is judged; with what it says itself, where that is another one.
    private static func time(_ candidate: RetentionCandidate) -> String {
        let own = candidate.stored.snapshot.time
        let distance = candidate.time.seconds.subtractingReportingOverflow(own.seconds)
        // A snapshot says when its backup began, and the receipt comes at the end.
        let length = candidate.stored.snapshot.summary.ended.seconds.subtractingReportingOverflow(own.seconds)
            .partialValue
        let isClose = !distance.overflow && distance.partialValue.magnitude < max(length, 0).magnitude &+ Self.closeness
        return TimeText.local(candidate.time) + (isClose ? "" : " (it says \(TimeText.local(own)))")
    }

    /// As restic prints it.
    private static func json(_ group: Group, _ groupBy: SnapshotGrouping) throws -> JSONObject {
        var object = groupBy.key(group.group)
        for isKept in [true, false] {
            let part = group.decisions.filter { $0.isKept == isKept }
            object[isKept ? "keep" : "remove"] = .array(try part.map { .object(try $0.candidate.stored.listed) })
        }
        object["reasons"] = .array(
            try group.decisions.filter(\.isKept).map { decision in
                var item = JSONObject()
                item["snapshot"] = .object(try decision.candidate.stored.listed)
                item["matches"] = .array(decision.reasons.map { .string($0.description) })
                return .object(item)
            }
        )
        return object
    }
}
