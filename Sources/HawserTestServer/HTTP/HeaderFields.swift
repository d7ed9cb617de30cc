import HTTPTypes

/// The headers of a request by their names in lower case, `host` among them.
struct HeaderFields: Sendable {
    /// Several of one name are joined by commas, as RFC 9110 (5.3) and the signature want it.
    let values: [String: String]

    init(_ request: HTTPRequest) {
        var values: [String: String] = [:]
        if let host = request.authority { values["host"] = host }
        for field in request.headerFields {
            let name = field.name.canonicalName
            values[name] = values[name].map { $0 + "," + field.value } ?? field.value
        }
        self.values = values
    }

    init(_ values: [String: String]) {
        self.values = values
    }

    subscript(name: String) -> String? { values[name] }
}
