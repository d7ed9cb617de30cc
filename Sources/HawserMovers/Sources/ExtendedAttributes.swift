import CHawser
import Glibc
import HawserFormat

/// Where attributes are read from.
enum AttributePlace {
    case file(Int32)
    case name(UnsafePointer<CChar>, in: Int32)

    private func list(into buffer: UnsafeMutableBufferPointer<CChar>) -> Int {
        switch self {
        case .file(let file): hawser_list_file_attributes(file, buffer.baseAddress, buffer.count)
        case .name(let name, let directory): hawser_list_attributes(directory, name, buffer.baseAddress, buffer.count)
        }
    }

    private func get(_ attribute: UnsafePointer<CChar>, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        switch self {
        case .file(let file): hawser_get_file_attribute(file, attribute, buffer.baseAddress, buffer.count)
        case .name(let name, let directory):
            hawser_get_attribute(directory, name, attribute, buffer.baseAddress, buffer.count)
        }
    }

    /// All extended attributes that may be read, sorted by name. None where the file system has no such thing.
    func attributes() throws(CallFailure) -> [ExtendedAttribute] {
        // Nearly every list is empty or one name; the system's own limit is XATTR_LIST_MAX.
        for capacity in [1 << 10, 1 << 16] {
            typealias Found = Result<[ExtendedAttribute], CallFailure>
            let result: (count: Int, found: Found) =
                withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { list in
                    let count = self.list(into: list)
                    guard count > 0, let names = list.baseAddress else { return (count, .success([])) }
                    return (count, Found { () throws(CallFailure) in try values(names: names, end: names + count) })
                }
            switch result.count {
            case 0...: return try result.found.get()
            case -Int(ERANGE), -Int(E2BIG): continue
            // EINVAL and EBADF: of some special files.
            case -Int(ENOTSUP), -Int(ENOSYS), -Int(EINVAL), -Int(EBADF): return []
            default: throw CallFailure(code: Int32(truncatingIfNeeded: -result.count))
            }
        }
        throw CallFailure(code: E2BIG)
    }

    private func values(
        names: UnsafePointer<CChar>,
        end: UnsafePointer<CChar>
    ) throws(CallFailure) -> [ExtendedAttribute] {
        var found: [ExtendedAttribute] = []
        var name = names
        while name < end {
            let length = strnlen(name, end - name)
            if length > 0, name + length < end, let value = try value(of: name) {
                let bytes = Array(UnsafeRawBufferPointer(start: name, count: length))
                found.append(ExtendedAttribute(name: bytes, value: value))
            }
            name += length + 1
        }
        if found.count > 1 { found.sort { $0.name.lexicographicallyPrecedes($1.name) } }
        return found
    }

    /// `nil` when it vanished since or may not be read.
    private func value(of name: UnsafePointer<CChar>) throws(CallFailure) -> [UInt8]? {
        // ACLs and capabilities fit into the first; the system's own limit is XATTR_SIZE_MAX.
        for capacity in [256, 1 << 16] {
            var count = 0
            let value = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
                count = get(name, into: UnsafeMutableRawBufferPointer(buffer))
                initialized = max(count, 0)
            }
            switch count {
            case 0...: return Array(value)
            case -Int(ERANGE), -Int(E2BIG): continue
            // The last three: listed, but given to nobody here, such as a capability of another user namespace.
            case -Int(ENODATA), -Int(EACCES), -Int(EPERM), -Int(ENOTSUP), -Int(EINVAL), -Int(EOVERFLOW): return nil
            default: throw CallFailure(code: Int32(truncatingIfNeeded: -count))
            }
        }
        // Larger than what the system hands out to any program.
        return nil
    }
}
