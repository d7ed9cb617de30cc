import HawserFormat

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ProfileFolder {
    /// A file that nobody sees before it is whole; removed when it is not published.
    final class NewFile: Sendable {
        private let file: String
        private let folder: String
        private let temporary: String
        private let descriptor: CInt

        init(_ file: String, in folder: String) throws {
            try Self.makeFolders(folder)
            self.file = file
            self.folder = folder
            temporary = folder + "/." + ControlID.random().text
            descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, ProfileFolder.mode)
            guard descriptor >= 0 else { throw ProfileFolder.failure("The profile can't be written", file) }
        }

        deinit {
            close(descriptor)
            unlink(temporary)
        }

        func write(_ bytes: [UInt8]) throws {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
                guard count >= 0 || errno == EINTR else {
                    throw ProfileFolder.failure("The profile can't be written", file)
                }
                rest = rest.dropFirst(max(0, count))
            }
            guard fsync(descriptor) == 0 else { throw ProfileFolder.failure("The profile can't be written", file) }
        }

        /// - Parameter replacing: otherwise a file of that name stays, and this throws `conflict`.
        func publish(replacing: Bool) throws {
            let result = replacing ? rename(temporary, file) : link(temporary, file)
            guard result == 0 else {
                if errno == EEXIST {
                    let name = file.dropFirst(folder.count + 1).dropLast(ProfileFolder.suffix.count)
                    throw ProfileFolder.taken(String(name), file)
                }
                throw ProfileFolder.failure("The profile can't be written", file)
            }
            let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if directory >= 0 {
                fsync(directory)
                close(directory)
            }
        }

        private static func makeFolders(_ path: String) throws {
            if mkdir(path, ProfileFolder.folderMode) == 0 || errno == EEXIST { return }
            guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw ProfileFolder.failure("The folder of the profiles can't be made", path)
            }
            try makeFolders(String(path[..<slash]))
            guard mkdir(path, ProfileFolder.folderMode) == 0 || errno == EEXIST else {
                throw ProfileFolder.failure("The folder of the profiles can't be made", path)
            }
        }
    }
}

// Inside of the class its own `write` hides the system's.
private func systemWrite(_ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, buffer, count)
}
