/// The bytes of a name or message for a terminal or a log line: what is not printable is shown, never sent.
///
/// UTF-8 stays as it is but for the backslash (`\\`), ASCII control characters and bytes that are not UTF-8 (`\x1b`),
/// and characters that have no shape of their own, turn the writing direction, break lines, or mean nothing yet
/// (`\u{202e}`). The text holds no line break, and names that differ give texts that differ.
public func displayText(_ bytes: some Collection<UInt8>) -> String {
    if bytes.allSatisfy(isPlainASCII) { return String(decoding: bytes, as: UTF8.self) }
    var text = ""
    var rest = Array(bytes)[...]
    while let byte = rest.first {
        if isPlainASCII(byte) {
            text.unicodeScalars.append(Unicode.Scalar(byte))
            rest.removeFirst()
            continue
        }
        guard byte >= 0x80, let scalar = leadingScalar(of: rest) else {
            text += byte == UInt8(ascii: "\\") ? "\\\\" : "\\x" + CollectionOfOne(byte).hex
            rest.removeFirst()
            continue
        }
        if isPrintable(scalar) {
            text.unicodeScalars.append(scalar)
        } else {
            text += "\\u{" + String(scalar.value, radix: 16) + "}"
        }
        rest.removeFirst(UTF8.width(scalar))
    }
    return text
}

private func isPlainASCII(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte < 0x7f && byte != UInt8(ascii: "\\")
}

/// The first character, if the bytes begin with valid UTF-8.
private func leadingScalar(of bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
    var decoder = UTF8()
    var iterator = bytes.prefix(4).makeIterator()
    guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
    return scalar
}

private func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    // Unicode's mark for what is invisible, whatever its category: fillers, joiners, variation selectors.
    if scalar.properties.isDefaultIgnorableCodePoint { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
    default: return true
    }
}
