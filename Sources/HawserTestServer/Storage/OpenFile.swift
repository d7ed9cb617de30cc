import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file of the server's folder, closed with its last reference. Calls block.
final class OpenFile: Sendable {
    struct Failure: Error {
        let call: String
        let number: CInt
    }

    private let descriptor: CInt

    init(reading path: String) throws(Failure) {
        descriptor = try Self.check("open") { open(path, O_RDONLY | O_CLOEXEC) }
    }

    init(creating path: String) throws(Failure) {
        descriptor = try Self.check("open") { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
    }

    deinit {
        _ = close(descriptor)
    }

    func length() throws(Failure) -> Int {
        var status = stat()
        _ = try Self.check("fstat") { fstat(descriptor, &status) }
        return Int(status.st_size)
    }

    func read(_ range: Range<Int>) throws(Failure) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: range.count)
        while buffer.readableBytes < range.count {
            let offset = range.lowerBound + buffer.readableBytes
            let wanted = range.upperBound - offset
            var failure: Failure?
            let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { bytes in
                do throws(Failure) {
                    return try Self.check("pread") { pread(descriptor, bytes.baseAddress, wanted, off_t(offset)) }
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            guard count > 0 else { throw Failure(call: "pread", number: 0) }
        }
        return buffer
    }

    func append(_ buffer: ByteBuffer) throws(Failure) {
        var rest = buffer
        while rest.readableBytes > 0 {
            var failure: Failure?
            rest.readWithUnsafeReadableBytes { bytes in
                do throws(Failure) {
                    return try Self.check("write") { write(descriptor, bytes.baseAddress, bytes.count) }
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
        }
    }

    static func move(_ path: String, to place: String) throws(Failure) {
        _ = try check("rename") { rename(path, place) }
    }

    static func remove(_ path: String) throws(Failure) {
        _ = try check("unlink") { unlink(path) }
    }

    private static func check<Value: SignedInteger>(_ call: String, _ body: () -> Value) throws(Failure) -> Value {
        while true {
            let value = body()
            if value >= 0 { return value }
            let number = errno
            if number != EINTR { throw Failure(call: call, number: number) }
        }
    }
}
