/// The requests that an object store knows; the raw value serves as a metrics label.
public enum StoreOperation: String, Hashable, Sendable, CaseIterable {
    case put
    case get
    case head
    case list
    case delete
}
