import HawserControl
import HawserFormat

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

public struct WebhookAdd: AdminRequest {
    public static let operation = "webhook.add"
    public var url: String
    /// 16 bytes or more; `nil`: one is made.
    public var secret: Data?

    public init(url: String, secret: Data? = nil) {
        self.url = url
        self.secret = secret
    }

    public struct Answer: Codable, Sendable {
        public var webhook: WebhookRecord
        /// Shown this once; `nil` when it was given.
        public var secret: String?
    }

    public func run(_ service: AdminService) async throws -> Answer {
        if let secret {
            guard secret.count >= 16 else {
                throw HawserError(.invalidArgument, "The secret of a webhook has 16 bytes or more.")
            }
            let given = Secret(Array(secret))
            return Answer(webhook: try await service.database.addWebhook(url, secret: given, actor: service.actor))
        }
        let made = "whsec_" + Secret.random().bytes.hex
        return Answer(
            webhook: try await service.database.addWebhook(
                url,
                secret: Secret(Array(made.utf8)),
                actor: service.actor
            ),
            secret: made
        )
    }
}

public struct WebhookList: AdminRequest {
    public static let operation = "webhook.list"

    public init() {}

    public func run(_ service: AdminService) async throws -> [WebhookRecord] { try await service.database.webhooks() }
}

public struct WebhookRemove: AdminRequest {
    public static let operation = "webhook.remove"
    public var webhook: String

    public init(webhook: String) {
        self.webhook = webhook
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.removeWebhook(service.id(webhook, what: "webhook"), actor: service.actor)
        return AdminDone()
    }
}

/// Has the running server send an event that is for trying only.
public struct WebhookTest: AdminRequest {
    public static let operation = "webhook.test"
    public var webhook: String

    public init(webhook: String) {
        self.webhook = webhook
    }

    public func run(_ service: AdminService) async throws -> AdminDone {
        try await service.database.addTestEvent(service.id(webhook, what: "webhook"))
        return AdminDone()
    }
}
