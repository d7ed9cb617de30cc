import Synchronization

/// Numbers for files with several names: equal for the same file, different for different files of one walk.
///
/// No table of links is kept: the number is the inode's, with the ordinal of its file system in the upper bits. The ordinal, not the device
/// number, so that a reboot doesn't change the snapshot; file systems are counted in the order in which the walk comes to them.
final class LinkGroups: Sendable {
    private let ordinals = Mutex<[UInt64: UInt64]>([:])

    /// Counts a file system when the walk enters it.
    func enter(device: UInt64) {
        _ = ordinal(of: device)
    }

    func group(of file: FileIdentity) -> UInt64 {
        let ordinal = ordinal(of: file.device)
        // 48 bits hold the inodes of all file systems that count them, 15 the mounts of any machine: exact.
        if file.inode < 1 << 48, ordinal < 1 << 15 { return ordinal << 48 | file.inode }
        // Some network and stacked file systems hash into all 64 bits. Half of the numbers are kept for these; among
        // n of them two collide with a probability of n² / 2⁶⁴.
        return Self.mix(file.inode ^ Self.mix(ordinal)) | 1 << 63
    }

    private func ordinal(of device: UInt64) -> UInt64 {
        ordinals.withLock { ordinals in
            if let ordinal = ordinals[device] { return ordinal }
            let ordinal = UInt64(ordinals.count)
            ordinals[device] = ordinal
            return ordinal
        }
    }

    /// The finalizer of splitmix64 (Steele, Lea, Flood 2014), a bijection.
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
