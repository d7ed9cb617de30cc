import ArgumentParser
import Glibc
import Hawser
import Synchronization

/// How fast data may come and go.
struct LimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Upload at most so much, in KiB a second.", valueName: "rate"))
    var limitUpload: Int?

    @Option(help: ArgumentHelp("Download at most so much, in KiB a second.", valueName: "rate"))
    var limitDownload: Int?

    @Option(
        help: ArgumentHelp(
            "Take the limits from this file, which may be changed while the command runs. [HAWSER_LIMIT_FILE]",
            discussion: "It has lines such as upload=2048 and download=0, in KiB a second; 0 is no limit.",
            valueName: "file"
        ),
        completion: .file()
    )
    var limitFile: String?

    func validate() throws {
        for limit in [limitUpload, limitDownload] {
            guard limit.map(LimitFile.range.contains) ?? true, limit != 0 else {
                throw ValidationError("A limit is a number of KiB a second above 0.")
            }
        }
    }

    /// Throttles the store if it is to be.
    func applied(to store: any ObjectStore) throws -> any ObjectStore {
        let limits = ThrottledStore.Limits(
            upload: limitUpload.map { $0 << 10 },
            download: limitDownload.map { $0 << 10 }
        )
        if let path = limitFile ?? Environment.value("HAWSER_LIMIT_FILE"), !path.isEmpty {
            let file = LimitFile(path, otherwise: limits)
            // One that can't be used is said at once, not when it is looked at again.
            return try ThrottledStore(store, limits: try file.read(), update: { file.changed() })
        }
        return limits == .none ? store : try ThrottledStore(store, limits: limits)
    }
}

/// A file with limits, looked at again once a second while data goes.
final class LimitFile: Sendable {
    private struct State {
        var looked = ContinuousClock.now
        var stamp: [Int] = []
    }

    /// KiB a second.
    static let range = 0...1 << 40
    private static let interval = Duration.seconds(1)

    private let path: String
    private let otherwise: ThrottledStore.Limits
    private let state = Mutex(State())

    /// - Parameter otherwise: where the file says nothing.
    init(_ path: String, otherwise: ThrottledStore.Limits) {
        self.path = path
        self.otherwise = otherwise
    }

    func read() throws -> ThrottledStore.Limits {
        let stamp = stamp()
        state.withLock { $0.stamp = stamp }
        return try Self.parse(SmallFile.read(path, what: "file of limits"), otherwise: otherwise, place: path)
    }

    /// The limits, if the file has changed since it was looked at; one that is wrong or missing changes nothing.
    func changed() -> ThrottledStore.Limits? {
        let isDue = state.withLock { state in
            guard ContinuousClock.now - state.looked >= Self.interval else { return false }
            state.looked = .now
            return true
        }
        guard isDue, stamp() != state.withLock({ $0.stamp }) else { return nil }
        do {
            let limits = try read()
            Console.shared.details("the limits have changed")
            return limits
        } catch {
            Console.shared.warning("the limits stay as they are: " + Failure.text(error))
            return nil
        }
    }

    /// What tells two states of the file apart.
    private func stamp() -> [Int] {
        var status = stat()
        guard path.rawBytes.withNullTerminated({ stat($0, &status) }) == 0 else { return [] }
        return [Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
    }

    static func parse(
        _ bytes: [UInt8],
        otherwise: ThrottledStore.Limits,
        place: String
    ) throws -> ThrottledStore.Limits {
        var limits = otherwise
        for line in TextLines.significant(bytes) {
            let parts = String(decoding: line, as: UTF8.self).split(separator: "=")
                .map { $0.split(whereSeparator: \.isWhitespace).joined() }
            guard parts.count == 2, let rate = Int(parts[1]), range.contains(rate) else {
                throw HawserError(
                    .invalidArgument,
                    "A line of the file of limits is upload=RATE or download=RATE, in KiB a second.",
                    place: place
                )
            }
            switch parts[0] {
            case "upload": limits.upload = rate == 0 ? nil : rate << 10
            case "download": limits.download = rate == 0 ? nil : rate << 10
            default:
                throw HawserError(.invalidArgument, "There is no limit «\(parts[0])».", place: place)
            }
        }
        return limits
    }
}
