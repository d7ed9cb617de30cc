import HawserFormat

extension FolderStore {
    // By the byte order of their prefixes; as none begins with another, this is the order of all keys.
    private static let kinds = ObjectKind.allCases.sorted { $0.prefix < $1.prefix }
    // How many folders of one level are remembered while those before them are listed.
    private static let folderBatch = 256

    func listNow(
        prefix: String,
        after: ObjectKey?,
        limit: Int,
        _ abandonment: Abandonment
    ) throws -> [ObjectInfo] {
        guard (1...ObjectListing.pageSize).contains(limit) else {
            throw HawserError(.invalidArgument, "A list has 1 to \(ObjectListing.pageSize) objects, not \(limit).")
        }
        var page = Page(prefix: prefix, after: after?.path ?? "", limit: limit, abandonment: abandonment)
        for kind in Self.kinds where page.canHold(folder: kind.prefix) && !page.isFull {
            if let nameLengths = kind.folderNameLengths {
                try listFolders(of: kind, nameLengths, into: &page)
            } else {
                try listFiles(in: kind.prefix, of: kind, into: &page)
            }
        }
        return page.objects
    }

    private func listFolders(of kind: ObjectKind, _ lengths: ClosedRange<Int>, into page: inout Page) throws {
        guard let parent = try openForList(kind.prefix) else { return }
        var last = ""
        while !page.isFull {
            let names = try parent.smallestNames(Self.folderBatch, lengths, .folder) { name in
                name > last && page.canHold(folder: kind.prefix + name + "/")
            }
            for name in names where !page.isFull {
                try listFiles(in: kind.prefix + name + "/", of: kind, into: &page)
            }
            guard let end = names.last else { return }
            last = end
        }
    }

    private func listFiles(in path: String, of kind: ObjectKind, into page: inout Page) throws {
        guard let folder = try openForList(path) else { return }
        var last = ""
        while !page.isFull {
            try page.abandonment.check()
            let names = try folder.smallestNames(page.missing, kind.fileNameLengths, .file) { name in
                name > last && page.canHold(file: path + name)
            }
            for name in names {
                // Gone meanwhile, or something that has the name of an object but is none.
                guard let key = ObjectKey(path + name), let status = try folder.status(of: name), status.isRegular
                else { continue }
                page.objects.append(ObjectInfo(key: key, length: status.length, stored: status.modified))
            }
            guard let end = names.last else { return }
            last = end
        }
    }

    /// `nil` when it is not there (yet, or any more).
    private func openForList(_ path: String) throws(SystemError) -> Descriptor? {
        do {
            return try openFolder(path)
        } catch {
            if error.isNotFound { return nil }
            throw error
        }
    }
}

private struct Page {
    let prefix: String
    let after: String
    let limit: Int
    let abandonment: Abandonment
    var objects: [ObjectInfo] = []

    var missing: Int { limit - objects.count }
    var isFull: Bool { missing <= 0 }

    /// - Parameter folder: with its final slash.
    func canHold(folder: String) -> Bool {
        (folder.hasPrefix(prefix) || prefix.hasPrefix(folder)) && (folder > after || after.hasPrefix(folder))
    }

    func canHold(file: String) -> Bool {
        file > after && file.hasPrefix(prefix)
    }
}

extension ObjectKind {
    /// How long the names of the folders between kind and object are; `nil`: there are none.
    fileprivate var folderNameLengths: ClosedRange<Int>? {
        switch self {
        case .dataPack, .metadataPack: 2...2
        case .refs: 64...64
        default: nil
        }
    }

    fileprivate var fileNameLengths: ClosedRange<Int> {
        // The digits of a UInt32, or of a SHA-256.
        self == .config ? 1...10 : 64...64
    }
}

private enum NameKind {
    case file
    case folder
}

extension Descriptor {
    /// The first `limit` names in byte order of those made of that many hexadecimal digits that `isWanted`; memory
    /// grows with the limit, not with the folder.
    fileprivate func smallestNames(
        _ limit: Int,
        _ lengths: ClosedRange<Int>,
        _ kind: NameKind,
        where isWanted: (String) -> Bool
    ) throws(SystemError) -> [String] {
        var names: [String] = []
        var bound: String?
        func trim() {
            names.sort()
            guard names.count > limit else { return }
            names.removeSubrange(limit...)
            bound = names.last
        }
        try forEachName { bytes, canBeFolder, canBeFile in
            guard lengths.contains(bytes.count), kind == .file ? canBeFile : canBeFolder,
                bytes.allSatisfy(Self.isLowercaseHexDigit)
            else { return }
            let name = String(decoding: bytes, as: UTF8.self)
            if let bound, name >= bound { return }
            guard isWanted(name) else { return }
            names.append(name)
            // Sorting only at double the limit makes its cost per name constant.
            if names.count >= 2 * limit + 64 { trim() }
        }
        trim()
        return names
    }

    private static func isLowercaseHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
