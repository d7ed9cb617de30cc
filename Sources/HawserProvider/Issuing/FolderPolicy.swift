import HawserControl

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What temporary credentials of a tenant allow: its own folder for one purpose, the repository's configuration, and
/// nothing else, not even a listing of neighbours.
struct FolderPolicy {
    /// Ends with `/`.
    let folder: String
    let bucket: String
    /// Where all folders of the repository are; ends with `/`.
    let repositoryFolder: String
    let repository: ControlID
    /// Of the folder: roles are named after it.
    let id: ControlID

    init(_ folder: FolderRecord, in settings: StorageSettings) {
        self.folder = folder.path(in: settings)
        bucket = settings.bucket
        id = folder.id
        repository = folder.repository
        repositoryFolder = (settings.prefix.isEmpty ? "" : settings.prefix + "/") + "\(folder.repository)/"
    }

    /// The key of the repository's configuration, beside the folders.
    var configuration: String { repositoryFolder + "repository.json" }

    /// What may be done to objects of the folder. Never: access control lists, retention, deletion of versions, settings of
    /// the bucket.
    enum Rights {
        case purpose(Purpose)
        /// For signing presigned uploads: these can't even read.
        case create

        /// Whose policy alone is the fence, where each folder has roles of its own.
        var role: FolderRole {
            switch self {
            case .purpose(.restore), .purpose(.check): .read
            case .purpose(.backup), .purpose(.prune), .create: .write
            case .purpose(.full): .full
            }
        }

        fileprivate var actions: [String] {
            switch self {
            case .purpose(.restore), .purpose(.check): ["s3:GetObject"]
            case .purpose(.backup), .purpose(.prune): ["s3:GetObject", "s3:PutObject"]
            case .purpose(.full): ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
            case .create: ["s3:PutObject"]
            }
        }

        fileprivate var lists: Bool {
            if case .create = self { false } else { true }
        }
    }

    /// As IAM takes it; far below its 2,048 characters for any prefix that people use.
    func document(_ rights: Rights) throws -> String {
        var statements = [
            Statement(action: rights.actions, resource: ["arn:aws:s3:::\(bucket)/\(folder)*"])
        ]
        if rights.lists {
            statements.append(
                Statement(
                    action: ["s3:ListBucket"],
                    resource: ["arn:aws:s3:::\(bucket)"],
                    condition: ["StringLike": ["s3:prefix": ["\(folder)*"]]]
                )
            )
            statements.append(
                Statement(action: ["s3:GetObject"], resource: ["arn:aws:s3:::\(bucket)/\(configuration)"])
            )
        }
        return try Self.json(statements)
    }

    /// Who may assume a role of the folder: `principal`, and only with the word that nobody else knows. Sessions count as
    /// their user on Ceph, and would get into all roles that trust it.
    static func trust(principal: String, referer: String) throws -> String {
        let statement = Statement(
            action: ["sts:AssumeRole"],
            principal: ["AWS": [principal]],
            condition: ["StringEquals": ["aws:Referer": [referer]]]
        )
        return try json([statement])
    }

    private static func json(_ statements: [Statement]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Document(statement: statements)), as: UTF8.self)
    }

    private struct Document: Encodable {
        var version = "2012-10-17"
        var statement: [Statement]

        enum CodingKeys: String, CodingKey {
            case version = "Version"
            case statement = "Statement"
        }
    }

    private struct Statement: Encodable {
        var effect = "Allow"
        var action: [String]
        var principal: [String: [String]]?
        var resource: [String]?
        var condition: [String: [String: [String]]]?

        enum CodingKeys: String, CodingKey {
            case effect = "Effect"
            case action = "Action"
            case principal = "Principal"
            case resource = "Resource"
            case condition = "Condition"
        }
    }
}

/// Roles of one folder. A session of `read` can't store, whatever becomes of what narrows it.
enum FolderRole: String, CaseIterable {
    case read, write, full

    var rights: FolderPolicy.Rights {
        switch self {
        case .read: .purpose(.restore)
        case .write: .purpose(.backup)
        case .full: .purpose(.full)
        }
    }

    func name(_ folder: ControlID) -> String { "hawser-\(folder)-\(rawValue)" }
}
