import Hawser

/// What `prune` says.
struct PruneReport: Sendable {
    private let console = Console.shared
    private let progress = ProgressReport()
    private let start = ContinuousClock.now

    func progress(_ state: PruneProgress) {
        let elapsed = start.duration(to: .now)
        progress.showOften(after: elapsed) {
            ("[\(elapsed.clockText)] \(Self.text(state))", "")
        } json: {
            var object = JSONObject(type: "status")
            object["phase"] = .string(state.phase.rawValue)
            object["done"] = .integer(state.done)
            object["total"] = .integer(state.total)
            object["seconds_elapsed"] = .integer(elapsed.components.seconds)
            return object
        }
    }

    private static func text(_ state: PruneProgress) -> String {
        switch state.phase {
        case .listing: "listing packs"
        case .marking: "\(state.done) parts of trees read"
        case .moving: "\(ByteSize.text(state.done)) of \(ByteSize.text(state.total)) moved to new packs"
        case .deleting: "\(state.done) of \(state.total) packs deleted"
        case .indexing: "tidying the index"
        }
    }

    func summary(_ summary: PruneSummary, dryRun: Bool) {
        console.endProgress()
        for (key, error) in summary.damaged.sorted(by: { $0.key < $1.key }) {
            if console.isJSON {
                console.json(ProblemText.json(error, item: key.path.rawBytes, during: "prune"))
            } else {
                console.warning(
                    "stays, can't be read: \(key.path): \(displayText(error.message.utf8)) «hawser repair packs» can help."
                )
            }
        }
        if summary.treesAreDamaged {
            console.warning("Not all trees can be read: only what no snapshot names was looked at. Run «hawser check».")
        } else if summary.missingChunks > 0 {
            console.warning("\(summary.missingChunks) chunks that snapshots need are missing. Run «hawser check».")
        }
        if console.isJSON { return console.json(json(summary, dryRun: dryRun)) }
        func line(_ what: String, _ packs: PruneSummary.Packs) {
            if packs.count > 0 {
                console.result("\(what)\(counted(packs.count, "pack")), \(ByteSize.text(packs.bytes))")
            }
        }
        line("there were:     ", summary.packs)
        line(dryRun ? "would delete:   " : "deleted:        ", summary.deleted)
        line(dryRun ? "would mark:     " : "marked:         ", summary.marked)
        if summary.rewritten.count > 0 {
            console.result(
                "\(dryRun ? "would move:     " : "moved:          ")\(ByteSize.text(summary.movedBytes)) out of \(counted(summary.rewritten.count, "pack"))"
            )
        }
        line("locked, stays:  ", summary.locked)
        if let until = summary.lockedUntil {
            console.result("                the last of these locks ends \(TimeText.local(until))")
        }
        if dryRun {
            let cost = summary.cost
            console.result(
                "costs:          \(ByteSize.text(cost.bytesRead)) read, \(ByteSize.text(cost.bytesWritten)) written, about \(cost.requests) requests"
            )
        } else {
            line("waiting:        ", summary.waiting)
            if let until = summary.waitingUntil, summary.waiting.count > 0 {
                console.result(
                    "                a prune after \(TimeText.local(until)) deletes what still nothing needs"
                )
            }
        }
        console.result("needed:         \(summary.usedChunks) chunks, \(ByteSize.text(summary.usedBytes))")
        console.result("unused, stays:  \(ByteSize.text(summary.unusedBytesLeft))")
        if summary.youngBytes > 0 {
            console.result(
                "unused, young:  \(ByteSize.text(summary.youngBytes)); what nothing has needed for seven days is marked"
            )
        }
    }

    private func json(_ summary: PruneSummary, dryRun: Bool) -> JSONObject {
        var object = JSONObject(type: "summary")
        for (name, packs) in [
            ("total", summary.packs), ("deleted", summary.deleted), ("marked", summary.marked),
            ("waiting", summary.waiting), ("rewritten", summary.rewritten), ("locked", summary.locked),
        ] {
            object[name + "_packs"] = .integer(packs.count)
            object[name + "_bytes"] = .integer(packs.bytes)
        }
        if let until = summary.waitingUntil?.text { object["waiting_until"] = .string(until) }
        if let until = summary.lockedUntil?.text { object["locked_until"] = .string(until) }
        object["used_chunks"] = .integer(summary.usedChunks)
        object["used_bytes"] = .integer(summary.usedBytes)
        object["unused_bytes"] = .integer(summary.unusedBytesLeft)
        object["young_bytes"] = .integer(summary.youngBytes)
        object["moved_bytes"] = .integer(summary.movedBytes)
        object["missing_chunks"] = .integer(summary.missingChunks)
        object["refs_written"] = .integer(summary.refsWritten)
        object["refs_deleted"] = .integer(summary.refsDeleted)
        object["checkpoints_deleted"] = .integer(summary.checkpointsDeleted)
        object["segments_written"] = .integer(summary.segmentsWritten)
        object["segments_deleted"] = .integer(summary.segmentsDeleted)
        if dryRun {
            object["cost_requests"] = .integer(summary.cost.requests)
            object["cost_bytes_read"] = .integer(summary.cost.bytesRead)
            object["cost_bytes_written"] = .integer(summary.cost.bytesWritten)
        }
        object["dry_run"] = .bool(dryRun)
        object.set(start.duration(to: .now), as: "total_duration")
        return object
    }
}
