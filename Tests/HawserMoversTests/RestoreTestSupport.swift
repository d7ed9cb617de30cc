import CHawser
import Glibc
import HawserFormat
import Synchronization

@testable import HawserMovers

/// A directory of its own for one test: `target` is restored into, `outside` must stay as it is.
final class RestoreFolder: Sendable {
    let path: String
    var target: String { path + "/target" }
    var outside: String { path + "/outside" }
    let problems = Problems()

    final class Problems: Sendable {
        private let list = Mutex<[(EntryPath, HawserError)]>([])
        func append(_ path: EntryPath, _ error: HawserError) { list.withLock { $0.append((path, error)) } }
        var all: [(EntryPath, HawserError)] { list.withLock { $0 } }
        var codes: [HawserError.Code] { all.map(\.1.code) }
    }

    init() throws {
        var template = Array("/tmp/hawser-restore-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HawserError(.fileSystem, "mkdtemp \(errno)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        mkdir(path + "/outside", 0o755)
    }

    /// Until the folder goes.
    func mount(_ source: String, on name: String, _ type: String?, _ flags: UInt = 0, _ data: String? = nil) -> Bool {
        let place = target + "/" + name
        guard Glibc.mount(source, place, type, flags, data) == 0 else { return false }
        mounts.withLock { $0.append(place) }
        return true
    }

    private let mounts = Mutex<[String]>([])

    deinit {
        for place in mounts.withLock({ $0 }) { umount2(place, Int32(MNT_DETACH)) }
        do {
            let tree = try RestoreTree(target: Array("/tmp".utf8)) { _, _ in }
            try String(path.dropFirst(5)).withCString {
                try tree.removeTree($0, in: tree.root?.descriptor ?? -1, .root)
            }
        } catch { print("can't remove \(path): \(error)") }
    }

    func tree(_ change: (inout RestoreOptions) -> Void = { _ in }) throws -> RestoreTree {
        var options = RestoreOptions()
        options.openDirectories = 4
        change(&options)
        let problems = problems
        return try RestoreTree(target: Array(target.utf8), options: options) { problems.append($0, $1) }
    }

    func status(_ name: String) -> stat? {
        var status = stat()
        return lstat(target + "/" + name, &status) == 0 ? status : nil
    }

    func mode(_ name: String) -> UInt32? { status(name).map { $0.st_mode & 0o7777 } }

    func read(_ name: String, in folder: String? = nil) -> String? {
        let file = open((folder ?? target) + "/" + name, O_RDONLY | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = Glibc.read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }

    func write(_ text: String, _ name: String, in folder: String? = nil, mode: mode_t = 0o644) {
        let file = open((folder ?? target) + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, mode)
        defer { close(file) }
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    }

    func names(_ name: String = "") -> [String] {
        guard let stream = opendir(target + "/" + name) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let item = readdir(stream) {
            names.append(withUnsafePointer(to: &item.pointee.d_name.0) { String(cString: $0) })
        }
        return names.filter { $0 != "." && $0 != ".." }.sorted()
    }
}

func path(_ text: String) -> EntryPath { EntryPath(Array(text.utf8)) ?? .root }

func entry(
    _ name: String,
    _ kind: Entry.Kind = .file,
    mode: UInt16 = 0o644,
    modified: Int64 = 1_600_000_000,
    size: Int = 0
) -> Entry {
    entry(path(name), kind, mode: mode, modified: modified, size: size)
}

func entry(
    _ path: EntryPath,
    _ kind: Entry.Kind = .file,
    mode: UInt16 = 0o644,
    modified: Int64 = 1_600_000_000,
    size: Int = 0
) -> Entry {
    var entry = Entry(path: path, kind: kind)
    entry.mode = kind == .directory ? 0o755 : mode
    entry.userID = geteuid()
    entry.groupID = getegid()
    entry.modified = Timestamp(seconds: modified, nanoseconds: 123_456_789)
    entry.size = UInt64(size)
    return entry
}

extension RestoreTree {
    @discardableResult
    func file(_ name: String, _ text: String, mode: UInt16 = 0o644, modified: Int64 = 1_600_000_000) throws
        -> RestoreAction
    {
        try file(HawserMoversTests.entry(name, mode: mode, modified: modified), text)
    }

    @discardableResult
    func file(_ entry: Entry, _ text: String) throws -> RestoreAction {
        var entry = entry
        let bytes = Array(text.utf8)
        entry.size = UInt64(bytes.count)
        return try bytes.withUnsafeBytes { try writeFile(entry, $0) }
    }

    @discardableResult
    func folder(_ name: String) throws -> RestoreAction {
        try makeDirectory(HawserMoversTests.entry(name, .directory))
    }
}

func begun(_ decision: RestoreTree.FileDecision) throws -> RestoreFile {
    guard case .write(let file) = decision else { throw HawserError(.internalError, "The file was settled.") }
    return file
}

func code(_ body: () throws -> Void) -> HawserError.Code? {
    do {
        try body()
        return nil
    } catch { return (error as? HawserError)?.code }
}

/// Runs on a thread that belongs to nobody, so that the other tests stay what they are. As it is without privileges.
func asNobody(_ body: @escaping @Sendable () throws -> Void) throws {
    final class Work: Sendable {
        let body: @Sendable () throws -> Void
        let error = Mutex<(any Error)?>(nil)
        init(_ body: @escaping @Sendable () throws -> Void) { self.body = body }
    }
    guard geteuid() == 0 else { return try body() }
    let work = Work(body)
    var thread = pthread_t()
    pthread_create(
        &thread,
        nil,
        { pointer in
            let work = Unmanaged<Work>.fromOpaque(pointer.unsafelyUnwrapped).takeUnretainedValue()
            // The library's setuid changes all threads, the system call only its own.
            typealias SystemCall = @convention(c) (Int, Int, Int, Int) -> Int
            do {
                guard let symbol = dlsym(nil, "syscall") else { throw HawserError(.internalError, "no syscall") }
                #if arch(x86_64)
                    let (setgroups, setresgid, setresuid) = (116, 119, 117)
                #else
                    let (setgroups, setresgid, setresuid) = (159, 149, 147)
                #endif
                let call = unsafeBitCast(symbol, to: SystemCall.self)
                guard call(setgroups, 0, 0, 0) == 0, call(setresgid, 65534, 65534, 65534) == 0,
                    call(setresuid, 65534, 65534, 65534) == 0
                else { throw HawserError(.internalError, "can't become nobody") }
                try work.body()
            } catch { work.error.withLock { $0 = error } }
            return nil
        },
        Unmanaged.passUnretained(work).toOpaque()
    )
    pthread_join(thread, nil)
    if let error = work.error.withLock({ $0 }) { throw error }
}
