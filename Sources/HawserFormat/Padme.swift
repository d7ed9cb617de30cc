/// Padded lengths that give away little about the true one.
///
/// Padmé: Nikitin, Barman, Lueks, Underwood, Hubaux, Ford, "Reducing Metadata Leakage from Encrypted Files and
/// Communication with PURBs" (2019), algorithm 1. The padding is at most 12 %, and less the longer the object is.
public enum Padme {
    /// The smallest length with the permitted number of significant bits that is at least `length`.
    ///
    /// - Parameter length: Bytes, not negative.
    public static func paddedLength(_ length: Int) -> Int {
        guard length > 1 else { return max(0, length) }
        let exponent = length.bitWidth - 1 - length.leadingZeroBitCount
        let significantBits = exponent.bitWidth - exponent.leadingZeroBitCount
        let mask = UInt(1) << UInt(exponent - significantBits) - 1
        return Int(clamping: (UInt(length) + mask) & ~mask)
    }

    /// Padmé, but never less than `minimum`.
    public static func paddedLength(_ length: Int, atLeast minimum: Int) -> Int {
        max(minimum, paddedLength(length))
    }
}
