import Glibc

/// An open directory, for calls relative to it; closed when the last user lets go.
final class DirectoryHandle: Sendable {
    let descriptor: Int32

    init(adopting descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}
