import Hawser

/// What `restore` says while it works and at its end.
struct RestoreReport: Sendable {
    private let console = Console.shared
    private let progressReport = ProgressReport()

    var interval: Duration { progressReport.interval }

    func problem(_ problem: Problem) {
        if console.isJSON {
            console.json(ProblemText.json(problem.error, item: problem.path.absoluteBytes, during: "restore"))
        } else {
            console.warning(
                "not restored: " + displayText(problem.path.absoluteBytes) + ": "
                    + Failure.text(problem.error, besides: problem.path.description)
            )
        }
    }

    func progress(_ progress: RestoreProgress) {
        progressReport.show(after: progress.elapsed) {
            (line(progress), "")
        } json: {
            var object = JSONObject(type: "status")
            object["seconds_elapsed"] = .integer(progress.elapsed.components.seconds)
            object["files_restored"] = .integer(progress.filesRestored)
            object["bytes_restored"] = .integer(progress.bytesRestored)
            object["bytes_per_second"] = .integer(UInt64(progress.bytesPerSecond))
            object["error_count"] = .integer(progress.problems)
            object["limited_by"] = progress.limitingStage.map { .string($0.rawValue) }
            if let total = progress.bytesTotal {
                object["total_bytes"] = .integer(total)
                let share = total > 0 ? Double(progress.bytesRestored) / Double(total) : 0
                object["percent_done"] = .number(ByteSize.decimals(min(share, 1), 4))
            }
            return object
        }
    }

    private func line(_ progress: RestoreProgress) -> String {
        let rate = progress.bytesPerSecond
        var text = "[\(progress.elapsed.clockText)]"
        if let total = progress.bytesTotal, total > 0 {
            text += " \(ByteSize.decimals(min(100, 100 * Double(progress.bytesRestored) / Double(total)), 1)) %"
        }
        text += "  \(ByteSize.text(progress.bytesRestored))"
        if let total = progress.bytesTotal { text += " of \(ByteSize.text(total))" }
        text += ", \(counted(progress.filesRestored, "file")), \(ByteSize.text(UInt64(rate)))/s"
        if let total = progress.bytesTotal, rate > 0, total > progress.bytesRestored {
            text += ", ETA \(Duration.seconds(Double(total - progress.bytesRestored) / rate).clockText)"
        }
        if let stage = progress.limitingStage { text += ", limited by \(stage.rawValue)" }
        if progress.problems > 0 { text += ", \(counted(progress.problems, "error"))" }
        return text
    }

    func summary(_ summary: RestoreSummary, _ request: RestoreRequest) {
        console.endProgress()
        for warning in summary.warnings where !console.isJSON {
            console.warning("warning: " + Self.text(warning) + (request.verifies ? "; not verified" : ""))
        }
        if console.isJSON { return console.json(json(summary, request)) }
        var text = "\(request.options.dryRun ? "would restore" : "restored") \(counted(summary.filesRestored, "file"))"
        text += " and \(counted(summary.otherEntries, "other")), \(ByteSize.text(summary.bytesRestored))"
        if summary.filesKept > 0 { text += "; \(counted(summary.filesKept, "was", "were")) there already" }
        if summary.filesDeleted > 0 { text += "; \(summary.filesDeleted) deleted" }
        if request.verifies { text += "; \(summary.filesVerified) verified" }
        if let stage = summary.limitingStage { console.details("the speed was limited by: \(stage.rawValue)") }
        console.result(text + " in \(RepositoryOptions.seconds(summary.duration))")
        if summary.problemCount > 0 {
            console.warning(
                "error: \(counted(summary.problemCount, "entry was", "entries were")) not restored, or not as in the snapshot"
            )
        }
    }

    private static func text(_ warning: RestoreWarning) -> String {
        let example = "of \(counted(warning.count, "entry", "entries")), such as \(displayText(warning.example.utf8))"
        return switch warning.kind {
        case .ownership: "owner or group could not be set \(example): that needs privileges"
        case .setIDBits:
            "set-user-ID or set-group-ID bits were dropped \(example), because their owner could not be set"
        case .attributes: "extended attributes or ACLs could not be set \(example)"
        case .inodeFlags: "inode flags could not be set \(example)"
        }
    }

    private func json(_ summary: RestoreSummary, _ request: RestoreRequest) -> JSONObject {
        var object = JSONObject(type: "summary")
        object["total_files"] = .integer(summary.filesRestored + summary.filesKept)
        object["files_restored"] = .integer(summary.filesRestored)
        object["files_skipped"] = .integer(summary.filesKept)
        object["files_deleted"] = .integer(summary.filesDeleted)
        object["others_restored"] = .integer(summary.otherEntries)
        object["bytes_restored"] = .integer(summary.bytesRestored)
        if request.verifies { object["files_verified"] = .integer(summary.filesVerified) }
        object["error_count"] = .integer(summary.problemCount)
        object["limited_by"] = summary.limitingStage.map { .string($0.rawValue) }
        object.set(summary.duration, as: "seconds_elapsed")
        object.set(summary.duration, as: "total_duration")
        object["warnings"] = .array(
            summary.warnings.map { warning in
                var item = JSONObject()
                item["kind"] = .string(warning.kind.rawValue)
                item["count"] = .integer(warning.count)
                item["example"] = .string(warning.example)
                return .object(item)
            }
        )
        if request.options.dryRun { object["dry_run"] = .bool(true) }
        return object
    }
}
