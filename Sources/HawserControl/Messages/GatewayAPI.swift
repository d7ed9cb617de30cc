/// What a tenant's machine asks of a gateway server (`docs/control-protocol.md`): objects of one session in one
/// repository, both of which the token of the grant stands for.
///
/// | request | answer |
/// | --- | --- |
/// | `PUT /v1/objects/KEY`, with `content-length` and `x-hawser-sha256` (64 hex digits) | 201: created, 200: it was there |
/// | `GET /v1/objects/KEY`, perhaps with `range: bytes=FIRST-LAST` | 200, 206 |
/// | `HEAD /v1/objects/KEY` | 200 with `content-length` and `x-hawser-stored` (seconds since 1970), 404 |
/// | `GET /v1/objects?prefix=…&after=…&limit=…` | 200 with a ``ListingAnswer`` |
///
/// Every other answer has a ``ControlProblem`` (that to a HEAD has none). Deletions are asked of the provider's server, in
/// every mode.
public enum GatewayAPI {
    public static let objects = "/v1/objects"
    public static let sha256 = "x-hawser-sha256"
    public static let stored = "x-hawser-stored"

    /// - Parameter key: of the format's grammar, which needs no escapes.
    public static func object(_ key: String) -> String { "\(objects)/\(key)" }
}
