// Paths and passwords are bytes, since neither needs to be UTF-8. Where they are text, these save the conversion.

extension Secret {
    /// A password or phrase, as UTF-8 and not normalised.
    public init(_ text: String) {
        self.init(Array(text.utf8))
    }
}

extension RestoreRequest {
    /// - Parameter target: the directory to restore below, created when it is missing.
    public init(_ snapshot: Snapshot, to target: String) {
        self.init(snapshot, target: Array(target.utf8))
    }
}
