import CHawser
import Glibc

/// An open directory; closed when the last user lets go of it, so the cache may drop it at any time.
final class RestoreDirectory: Sendable {
    let descriptor: Int32
    /// It has a default ACL, which everything created in it inherits.
    let inheritsACL: Bool

    /// Takes over the descriptor.
    init(descriptor: Int32) {
        self.descriptor = descriptor
        inheritsACL = hawser_restore_get_attribute(descriptor, nil, "system.posix_acl_default", nil, 0) > 0
    }

    deinit {
        close(descriptor)
    }
}
