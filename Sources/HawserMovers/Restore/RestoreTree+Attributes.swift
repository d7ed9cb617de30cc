import CHawser
import Glibc
import HawserFormat

extension RestoreTree {
    /// - Returns: `false` if an access ACL could not be set.
    func setAttributes(_ attributes: [ExtendedAttribute], of subject: Subject) -> Bool {
        var accessListIsSet = true
        for attribute in attributes {
            guard !attribute.name.contains(0) else {
                problems.report(
                    subject.path,
                    HawserError(.damaged, "The name of an attribute is not one.", place: subject.path.description)
                )
                continue
            }
            let result = attribute.name[...].withCString { name in
                attribute.value.withUnsafeBytes { value in
                    hawser_restore_set_attribute(subject.descriptor, subject.name, name, value.baseAddress, value.count)
                }
            }
            if result == 0 { continue }
            if attribute.name == RestoreMetadata.accessList { accessListIsSet = false }
            if errno == EPERM || errno == EOPNOTSUPP {
                problems.warn(.attributes, subject.path)
            } else {
                reportFailure("set the attribute \(String(decoding: attribute.name, as: UTF8.self))", subject)
            }
        }
        return accessListIsSet
    }

    /// Removes attributes and inherited ACLs that the entry does not have.
    func removeForeignAttributes(_ metadata: RestoreMetadata, of subject: Subject) {
        let wanted = Set(metadata.attributes.map(\.name))
        for name in attributeNames(subject) where RestoreMetadata.isOwned(name) && !wanted.contains(name) {
            let result = name[...].withCString {
                hawser_restore_remove_attribute(subject.descriptor, subject.name, $0)
            }
            if result != 0, errno != ENODATA, errno != EPERM {
                reportFailure("remove the attribute \(String(decoding: name, as: UTF8.self))", subject)
            }
        }
    }

    func attributeNames(_ subject: Subject) -> [[UInt8]] {
        let list = readGrowing { buffer in
            hawser_restore_list_attributes(subject.descriptor, subject.name, buffer?.baseAddress, buffer?.count ?? 0)
        }
        return (list ?? []).split(separator: 0).map(Array.init)
    }

    /// `nil` when it isn't there or can't be read.
    func attributeValue(_ name: [UInt8], of subject: Subject) -> [UInt8]? {
        guard !name.contains(0) else { return nil }
        return name[...].withCString { name in
            readGrowing { buffer in
                hawser_restore_get_attribute(
                    subject.descriptor,
                    subject.name,
                    name,
                    buffer?.baseAddress,
                    buffer?.count ?? 0
                )
            }
        }
    }

    /// Asks for the length, then for the bytes, again if it has grown in between.
    private func readGrowing(_ call: (UnsafeMutableBufferPointer<CChar>?) -> Int) -> [UInt8]? {
        while true {
            let length = call(nil)
            if length < 0 { return nil }
            if length == 0 { return [] }
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
                count = buffer.withMemoryRebound(to: CChar.self) { call($0) }
                initialized = max(count, 0)
            }
            if count >= 0 { return bytes }
            if errno != ERANGE { return nil }
        }
    }
}
