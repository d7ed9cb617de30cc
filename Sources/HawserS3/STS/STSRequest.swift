import HawserFormat

/// For whom temporary credentials are made, with which rights and for how long.
public struct AssumeRoleRequest: Sendable, Hashable {
    public var roleARN: String
    /// 2 to 64 letters, digits and `=,.@_-`: stands in the storage's logs.
    public var sessionName: String
    /// Whole seconds. AWS and Ceph take 900 to what the role allows (3,600 unless it says otherwise).
    public var duration: Duration
    /// JSON of at most 2,048 characters: the credentials can do no more than both this and the role allow.
    public var policy: String?
    /// A word that the role's owner has asked for.
    public var externalID: String?
    /// Sent as the header of that name: a word that the role's owner has asked for, where the storage does not know
    /// external ids (Ceph's condition key is `aws:Referer`).
    public var referer: String?

    public init(
        roleARN: String,
        sessionName: String = AssumeRoleRequest.defaultSessionName,
        duration: Duration = .seconds(3600),
        policy: String? = nil,
        externalID: String? = nil,
        referer: String? = nil
    ) {
        self.roleARN = roleARN
        self.sessionName = sessionName
        self.duration = duration
        self.policy = policy
        self.externalID = externalID
        self.referer = referer
    }

    public static let defaultSessionName = "hawser"
    /// "AssumeRole" in the AWS STS API Reference.
    public static let policyLimit = 2048

    /// - Throws: `invalidArgument`.
    func form(_ action: String) throws -> STSForm {
        guard policy.map({ $0.unicodeScalars.count <= Self.policyLimit }) ?? true else {
            throw HawserError(.invalidArgument, "A session policy has at most \(Self.policyLimit) characters.")
        }
        var form = STSForm(action)
        form.referer = referer
        form.add("RoleArn", roleARN)
        form.add("RoleSessionName", sessionName)
        try form.add(duration)
        form.add("Policy", policy)
        form.add("ExternalId", externalID)
        return form
    }
}

/// The body of a request to STS or IAM.
struct STSForm: Sendable {
    private var fields: [(name: String, value: String)]
    var referer: String?

    /// - Parameter version: of the API.
    init(_ action: String, version: String = "2011-06-15") {
        fields = [("Action", action), ("Version", version)]
    }

    mutating func add(_ name: String, _ value: String?) {
        if let value { fields.append((name, value)) }
    }

    mutating func add(_ duration: Duration) throws {
        // How long is allowed differs from server to server; they say so.
        guard duration >= .seconds(1) else {
            throw HawserError(.invalidArgument, "Temporary credentials last a second or longer.")
        }
        add("DurationSeconds", String(duration.components.seconds))
    }

    /// Every byte that must be encoded, blanks too: Ceph does not take `+` for one.
    var bytes: [UInt8] {
        Array(fields.map { $0.name.percentEncoded() + "=" + $0.value.percentEncoded() }.joined(separator: "&").utf8)
    }
}
