import ArgumentParser
import HawserControl
import HawserProvider

struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "Manage the machines that may log in.",
        subcommands: [DeviceListCommand.self, DeviceRevokeCommand.self]
    )
}

struct DeviceListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List machines.",
        discussion: "Example: hawser-provider device list acme"
    )

    @Argument(help: "The tenant's name or id; all, unless given.") var tenant: String?
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let devices = try await options.perform(DeviceList(tenant: tenant))
        try Output.show(
            devices,
            options,
            ["ID", "TENANT", "SUBTENANT", "NAME", "REGISTERED", "LAST SEEN", "STATE"],
            devices.map { view in
                let device = view.device
                return [
                    device.id.text, view.tenant, view.subtenant ?? "-", device.name, device.created.text,
                    device.lastSeen.text, device.revoked == nil ? "active" : "revoked \(device.revoked.text)",
                ]
            }
        )
    }
}

struct DeviceRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Let a machine in no more, and end its sessions.",
        discussion: "Example: hawser-provider device revoke 0123456789abcdef0123456789abcdef"
    )

    @Argument(help: "The device's id.") var device: String
    @OptionGroup var options: ProviderOptions

    func run() async throws {
        let answer = try await options.perform(DeviceRevoke(device: device))
        try Output.show(answer, options, "Revoked device \(device).")
    }
}
