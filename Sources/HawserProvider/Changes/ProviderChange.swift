public import HawserControl

/// Something that running sessions or the server's parts have to hear of within a second.
///
/// A change says what to look at again, not what is new: nothing is lost when several become one.
public enum ProviderChange: Sendable, Hashable {
    /// Enabled or not, lease end, limits, quota, folders.
    case tenant(ControlID)
    case sessionEnded(ControlID, tenant: ControlID, ControlProblem)
    /// Another session of the tenant needs what this repository's leases have not used.
    case returnUnused(repository: ControlID, tenant: ControlID)
    /// Of the folder that the tenant, or its subtenant, has in the repository.
    case credentials(repository: ControlID, tenant: ControlID, subtenant: ControlID?, generation: Int)
    /// Maintenance, gateways, storages, recovery; or more changes than were kept: look at everything,
    /// at whether sessions still live too.
    case general

    /// `nil`: concerns all.
    public var tenant: ControlID? {
        switch self {
        case .tenant(let id), .sessionEnded(_, let id, _), .returnUnused(_, let id), .credentials(_, let id, _, _):
            id
        case .general: nil
        }
    }
}
