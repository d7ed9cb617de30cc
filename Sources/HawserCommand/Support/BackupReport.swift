import Hawser

/// What `backup` says while it works and at its end, with restic's words where restic has them.
struct BackupReport: Sendable {
    private let console = Console.shared
    private let progressReport = ProgressReport()

    var interval: Duration { progressReport.interval }

    func problem(_ problem: Problem) {
        if console.isJSON {
            console.json(ProblemText.json(problem.error, item: problem.path.absoluteBytes, during: "archival"))
        } else {
            console.warning(
                (problem.error.code == .changed ? "changed: " : "not backed up: ")
                    + displayText(problem.path.absoluteBytes) + ": "
                    + displayText(problem.error.message.utf8)
            )
        }
    }

    func progress(_ progress: BackupProgress) {
        progressReport.show(after: progress.elapsed) {
            (line(progress), progress.currentPath.map { displayText($0.absoluteBytes) } ?? "")
        } json: {
            json(progress)
        }
    }

    func line(_ progress: BackupProgress) -> String {
        var text = "[\(progress.elapsed.clockText)]"
        if progress.walkIsDone, progress.bytesFound > 0 {
            text += " \(ByteSize.decimals(100 * Double(progress.bytesDone) / Double(progress.bytesFound), 1)) %"
        }
        text += "  \(ByteSize.text(progress.bytesDone)) of \(ByteSize.text(progress.bytesFound))"
        if !progress.walkIsDone { text += "+" }
        text += ", \(counted(progress.filesDone, "file")), \(ByteSize.text(UInt64(progress.bytesPerSecond)))/s"
        if let remaining = progress.remaining { text += ", ETA \(remaining.clockText)" }
        if let stage = progress.limitingStage { text += ", limited by \(stage.rawValue)" }
        if progress.problems > 0 { text += ", \(counted(progress.problems, "error"))" }
        return text
    }

    func json(_ progress: BackupProgress) -> JSONObject {
        var object = JSONObject(type: "status")
        object["seconds_elapsed"] = .integer(progress.elapsed.components.seconds)
        if let remaining = progress.remaining { object["seconds_remaining"] = .integer(remaining.components.seconds) }
        let share = progress.bytesFound > 0 ? Double(progress.bytesDone) / Double(progress.bytesFound) : 0
        object["percent_done"] = .number(ByteSize.decimals(min(share, 1), 4))
        object["total_files"] = .integer(progress.filesFound)
        object["files_done"] = .integer(progress.filesDone)
        object["total_bytes"] = .integer(progress.bytesFound)
        object["bytes_done"] = .integer(progress.bytesDone)
        object["bytes_read"] = .integer(progress.bytesRead)
        object["scan_done"] = .bool(progress.walkIsDone)
        object["bytes_per_second"] = .integer(UInt64(progress.bytesPerSecond))
        object["error_count"] = .integer(progress.problems)
        object["limited_by"] = progress.limitingStage.map { .string($0.rawValue) }
        if let path = progress.currentPath { object.set(texts: [path.absoluteBytes], as: "current_files") }
        return object
    }

    func summary(_ summary: BackupSummary, options: BackupOptions, start: Timestamp) {
        console.endProgress()
        if console.isJSON { return console.json(json(summary, options: options, start: start)) }
        let would = options.dryRun ? "Would add" : "Added"
        console.note("")
        console.note("Files:       " + counts(summary.files))
        console.note("Dirs:        " + counts(summary.directories))
        if summary.others.total > 0 { console.note("Others:      " + counts(summary.others)) }
        var added = "\(would) to the repository: \(ByteSize.text(summary.dataAdded))"
        if !options.dryRun { added += " (\(ByteSize.text(summary.dataAddedPacked)) stored)" }
        console.note(added)
        if let stage = summary.limitingStage { console.details("the speed was limited by: \(stage.rawValue)") }
        console.details("read \(ByteSize.text(summary.bytesRead)), \(counted(summary.newChunks, "new chunk"))")
        console.note("")
        console.note(
            "processed \(counted(summary.filesProcessed, "file")), \(ByteSize.text(summary.bytesProcessed)) in "
                + RepositoryOptions.seconds(summary.duration)
        )
        if let id = summary.snapshotID {
            console.result("snapshot \(id.hex.prefix(8)) saved")
        } else if !options.dryRun {
            console.result("nothing changed: no snapshot saved")
        }
        if summary.problemCount > 0 {
            console.warning(
                "warning: \(counted(summary.problemCount, "entry", "entries")) could not be read or changed meanwhile; "
                    + "the snapshot is incomplete"
            )
        }
    }

    private func counts(_ counts: EntryCounts) -> String {
        func padded(_ number: UInt64) -> String {
            let text = String(number)
            return String(repeating: " ", count: max(0, 7 - text.utf8.count)) + text
        }
        return "\(padded(counts.new)) new, \(padded(counts.changed)) changed, \(padded(counts.unmodified)) unmodified"
    }

    func json(_ summary: BackupSummary, options: BackupOptions, start: Timestamp) -> JSONObject {
        var object = JSONObject(type: "summary")
        object["files_new"] = .integer(summary.files.new)
        object["files_changed"] = .integer(summary.files.changed)
        object["files_unmodified"] = .integer(summary.files.unmodified)
        object["dirs_new"] = .integer(summary.directories.new)
        object["dirs_changed"] = .integer(summary.directories.changed)
        object["dirs_unmodified"] = .integer(summary.directories.unmodified)
        object["others_new"] = .integer(summary.others.new)
        object["others_changed"] = .integer(summary.others.changed)
        object["others_unmodified"] = .integer(summary.others.unmodified)
        object["data_blobs"] = .integer(summary.newChunks)
        object["data_added"] = .integer(summary.dataAdded)
        object["data_added_packed"] = .integer(summary.dataAddedPacked)
        object["total_files_processed"] = .integer(summary.filesProcessed)
        object["total_bytes_processed"] = .integer(summary.bytesProcessed)
        object["bytes_read"] = .integer(summary.bytesRead)
        object["error_count"] = .integer(summary.problemCount)
        object["limited_by"] = summary.limitingStage.map { .string($0.rawValue) }
        object["backup_start"] = start.text.map { .string($0) }
        object["backup_end"] = Timestamp.now.text.map { .string($0) }
        object.set(summary.duration, as: "total_duration")
        object["snapshot_id"] = summary.snapshotID.map { .string($0.hex) }
        object["parent"] = summary.parent.map { .string($0.hex) }
        if options.dryRun { object["dry_run"] = .bool(true) }
        return object
    }
}
