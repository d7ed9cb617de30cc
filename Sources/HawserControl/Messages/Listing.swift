/// `GET …/objects?prefix=…&after=…&limit=…`: objects of the tenant's folder, listed by the provider's server for tickets
/// without credentials for reading, and by a gateway server.
public struct ListingAnswer: Codable, Sendable {
    public struct Item: Codable, Sendable, Hashable {
        /// Below the tenant's folder.
        public var key: String
        /// Bytes.
        public var length: Int
        /// When the storage says that it was stored, seconds since 1970.
        public var stored: Double?

        public init(key: String, length: Int, stored: Double?) {
            self.key = key
            self.length = length
            self.stored = stored
        }
    }

    /// In ascending order of their keys; fewer than `limit`: the last.
    public var objects: [Item]

    public init(objects: [Item]) {
        self.objects = objects
    }
}
