import Foundation
import HawserFormat

/// The kernels of a first backup on all cores with no pipeline around them: what the pipeline is held against.
///
/// The data lies in memory before the clock starts, in segments of 64 MiB. Each core takes the next segment, cuts it,
/// names the chunks, and compresses, seals, opens, compares and hashes those that are new.
///
///     KernelCeiling FOLDER [--compression zstd:3] [--no-compare] [--threads 2]
@main
enum KernelCeiling {
    static func main() async throws {
        let options = try Options(CommandLine.arguments.dropFirst())
        let corpus = try Corpus(folder: options.folder)
        let kernels = Kernels(compression: options.compression, compares: options.compares)
        let queue = SegmentQueue(corpus.segments)

        let clock = ContinuousClock()
        let begin = clock.now
        let totals = try await withThrowingTaskGroup(of: Kernels.Totals.self) { group in
            for _ in 0..<options.threads {
                group.addTask {
                    var worker = try kernels.makeWorker()
                    while let segment = queue.next() { try worker.run(segment, in: corpus) }
                    return worker.finish()
                }
            }
            var totals = Kernels.Totals()
            for try await part in group { totals += part }
            return totals
        }
        let duration = (clock.now - begin) / .seconds(1)
        print(
            """
            {"seconds":\(duration),"bytes":\(corpus.byteCount),"files":\(corpus.fileCount),\
            "unique_bytes":\(totals.uniqueBytes),"stored_bytes":\(totals.storedBytes),"chunks":\(totals.chunks)}
            """
        )
    }
}

private struct Options {
    struct Usage: Error, CustomStringConvertible {
        let description =
            "usage: KernelCeiling FOLDER [--compression auto|off|lz4|zstd[:N]] [--no-compare] [--threads N]"
    }

    var folder = ""
    var compression = CompressionMethod.auto
    var compares = true
    var threads = ProcessInfo.processInfo.activeProcessorCount

    init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        while let argument = rest.popFirst() {
            switch argument {
            case "--no-compare": compares = false
            case "--compression":
                guard let method = rest.popFirst().flatMap({ CompressionMethod($0) }) else { throw Usage() }
                compression = method
            case "--threads":
                guard let count = rest.popFirst().flatMap({ Int($0) }), count > 0 else { throw Usage() }
                threads = count
            default:
                guard folder.isEmpty, !argument.hasPrefix("-") else { throw Usage() }
                folder = argument
            }
        }
        guard !folder.isEmpty else { throw Usage() }
    }
}
