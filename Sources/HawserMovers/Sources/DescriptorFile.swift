import Glibc
import HawserFormat

/// A file that is read through a descriptor.
protocol DescriptorFile: SourceFile {
    var path: EntryPath { get }
    /// -1 when it is closed.
    var file: Int32 { get set }
}

extension DescriptorFile {
    func close() {
        if file >= 0 { Glibc.close(file) }
        file = -1
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) async throws -> Int {
        try call { () throws(CallFailure) in try FileCalls.read(file, into: buffer, at: offset) }
    }

    func nextData(from offset: UInt64) async throws -> Range<UInt64>? {
        try call { () throws(CallFailure) in try FileCalls.nextData(file, from: offset) }
    }

    func call<Value>(_ body: () throws(CallFailure) -> Value) throws -> Value {
        do throws(CallFailure) { return try body() } catch { throw error.error(at: path) }
    }
}
