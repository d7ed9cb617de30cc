import CLibFuzzer
import Foundation
import HawserTesting

/// libFuzzer on one decoder, which `HAWSER_FUZZ_DECODER` names; arguments are libFuzzer's. The decoder's seeds are put
/// into `HAWSER_FUZZ_SEEDS` first.
///
/// Errors are right answers; only a crash, a hang or too much memory is a finding.
@main
enum HawserFuzz {
    static func main() throws {
        let environment = ProcessInfo.processInfo.environment
        guard let chosen = decoder else {
            print("HAWSER_FUZZ_DECODER is one of: " + FuzzedDecoder.all.map(\.name).joined(separator: " "))
            exit(64)
        }
        if let folder = environment["HAWSER_FUZZ_SEEDS"] {
            for (number, seed) in try chosen.seeds().enumerated() {
                try Data(seed).write(to: URL(filePath: folder).appending(path: "seed-\(number)"))
            }
        }
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { bytes, count in
                try? decoder?.decode(Array(UnsafeBufferPointer(start: bytes, count: count)))
                return 0
            }
        )
    }
}

private let decoder: FuzzedDecoder? = {
    let name = ProcessInfo.processInfo.environment["HAWSER_FUZZ_DECODER"]
    return FuzzedDecoder.all.first { $0.name == name }
}()
