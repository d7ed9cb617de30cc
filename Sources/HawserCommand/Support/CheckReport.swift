import Hawser

/// What `check` says.
struct CheckReport: Sendable {
    private let console = Console.shared
    private let progress = ProgressReport()
    private let start = ContinuousClock.now

    func event(_ event: CheckEvent) {
        switch event {
        case .began(let phase):
            console.note("checking: \(Self.name(phase))")
            console.flush()
        case .found(let finding):
            // With JSON each finding comes once, at the end, with its harm.
            if !console.isJSON { console.warning(Self.text(finding)) }
        case .read(let packs, let bytes, let ofPacks, let ofBytes):
            let elapsed = start.duration(to: .now)
            progress.showOften(after: elapsed) {
                let share = ofBytes > 0 ? ByteSize.decimals(100 * Double(bytes) / Double(ofBytes), 1) + " %" : ""
                return (
                    "[\(elapsed.clockText)] \(share)  \(packs) of \(ofPacks) packs, \(ByteSize.text(bytes)) read", ""
                )
            } json: {
                var object = JSONObject(type: "status")
                object["seconds_elapsed"] = .integer(elapsed.components.seconds)
                object["packs_done"] = .integer(packs)
                object["total_packs"] = .integer(ofPacks)
                object["bytes_done"] = .integer(bytes)
                object["total_bytes"] = .integer(ofBytes)
                return object
            }
        }
    }

    func summary(_ summary: CheckSummary, readsData: Bool) {
        console.endProgress()
        if console.isJSON {
            for finding in summary.findings { console.json(Self.json(finding)) }
            return console.json(Self.json(summary))
        }
        for finding in summary.findings where !finding.harm.isEmpty {
            console.warning("\(displayText(finding.key.utf8)) hurts:")
            for harm in finding.harm {
                console.warning(
                    "  snapshot \(harm.snapshot.hex.prefix(8)): \(counted(harm.entries, "entry", "entries"))"
                )
                for path in harm.firstPaths { console.warning("    " + displayText(path.absoluteBytes)) }
                if harm.entries > UInt64(harm.firstPaths.count) { console.warning("    …") }
            }
        }
        var text = counted(summary.snapshots, "snapshot") + ", " + counted(summary.packs, "pack")
        if readsData { text += ", \(summary.packsRead) of them read whole (\(ByteSize.text(summary.bytesRead)))" }
        console.note(text)
        if let text = Self.absent(summary.absentSnapshots) { console.note(text) }
        if summary.warningCount > 0 { console.result(counted(summary.warningCount, "warning")) }
        let errors = counted(summary.errorCount, "error was found", "errors were found")
        console.result(summary.errorCount == 0 ? "no errors were found" : errors)
    }

    private static func absent(_ ids: [ObjectName]) -> String? {
        if ids.isEmpty { return nil }
        let shown = ids.prefix(10).map { $0.hex.prefix(8) }.joined(separator: ", ") + (ids.count > 10 ? ", …" : "")
        return "not there: \(counted(ids.count, "snapshot")) (\(shown)), forgotten or tagged since the last prune, "
            + "of a backup that was interrupted or is running, or removed"
    }

    private static func name(_ phase: CheckEvent.Phase) -> String {
        switch phase {
        case .keys: "configuration and keys"
        case .snapshots: "snapshots"
        case .index: "index"
        case .packs: "packs"
        case .data: "data"
        case .trees: "trees"
        case .refs: "what protects the packs"
        case .harm: "what the damage hurts"
        }
    }

    private static func text(_ finding: CheckFinding) -> String {
        let kind = finding.severity == .error ? "error" : "warning"
        var text = "\(kind): \(displayText(finding.key.utf8)): \(displayText(finding.error.message.utf8))"
        if let place = finding.error.place, place != finding.key { text += " (\(displayText(place.utf8)))" }
        if let remedy = finding.remedy { text += " «\(remedy)» can help." }
        return text
    }

    private static func json(_ finding: CheckFinding) -> JSONObject {
        var object = ProblemText.json(finding.error, item: Array(finding.key.utf8), during: "check")
        if finding.severity == .warning { object["message_type"] = .string("warning") }
        if let remedy = finding.remedy { object["remedy"] = .string(remedy.command) }
        object["harm"] = .array(
            finding.harm.map { harm in
                var item = JSONObject()
                item["snapshot_id"] = .string(harm.snapshot.hex)
                item["entries"] = .integer(harm.entries)
                item.set(texts: harm.firstPaths.map(\.absoluteBytes), as: "first_paths")
                return .object(item)
            }
        )
        return object
    }

    private static func json(_ summary: CheckSummary) -> JSONObject {
        var object = JSONObject(type: "summary")
        object["num_errors"] = .integer(summary.errorCount)
        object["num_warnings"] = .integer(summary.warningCount)
        object["snapshots"] = .integer(summary.snapshots)
        object["absent_snapshots"] = .array(summary.absentSnapshots.map { .string($0.hex) })
        object["packs"] = .integer(summary.packs)
        object["packs_read"] = .integer(summary.packsRead)
        object["bytes_read"] = .integer(summary.bytesRead)
        object["broken_packs"] = .array(
            summary.findings.map(\.key).filter { $0.hasPrefix("packs/") }.map { .string($0) }
        )
        object["suggest_repair_index"] = .bool(summary.findings.contains { $0.remedy == .repairIndex })
        return object
    }
}
