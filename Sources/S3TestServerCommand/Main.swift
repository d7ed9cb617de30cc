import ArgumentParser
import HawserTestServer
import HawserTesting
import UnixSignals

@main
struct S3TestServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "s3-test-server",
        abstract: "An S3 and STS server for tests, on 127.0.0.1.",
        discussion: """
            It prints lines for a shell's environment, and runs until SIGINT or SIGTERM.
            """
    )

    enum Behaviour: String, ExpressibleByArgument, CaseIterable {
        case aws, ceph, swift, rclone

        var value: ServerBehaviour {
            switch self {
            case .aws: .aws
            case .ceph: .ceph
            case .swift: .swift
            case .rclone: .rclone
            }
        }
    }

    @Option(help: "The port; 0: the system chooses.")
    var port = 0

    @Option(help: "A bucket to have; may be given more than once.")
    var bucket = ["hawser"]

    @Flag(help: "The buckets keep old versions, and objects can be locked.")
    var objectLock = false

    @Option(help: "The user's access key; made anew if it is not given.")
    var accessKey: String?

    @Option(help: "The user's secret key; made anew if it is not given.")
    var secretKey: String?

    @Option(help: "The region.")
    var region = "us-east-1"

    @Option(help: "Keep objects in this folder instead of in memory.")
    var folder: String?

    @Option(help: "Wait so long before each request: 50ms, 2s.")
    var delay = Delay(value: .zero)

    @Option(help: "Answer this share of all requests, 0 to 1, with 503 SlowDown.")
    var failRate = 0.0

    @Option(help: "Which of the requests fail: the same seed, the same ones.")
    var seed: UInt64 = 1

    @Option(help: "Bytes that all objects together may have.")
    var quota: Int?

    @Option(help: "The server whose ways it has: \(Behaviour.allCases.map(\.rawValue).joined(separator: ", ")).")
    var behaviour = Behaviour.aws

    @Flag(help: "Don't compute the MD5 of objects for their ETags, which costs more than all the rest.")
    var noMD5 = false

    @Flag(help: "Speak TLS, with a certificate made for it; --certificate says where to put that.")
    var tls = false

    @Option(help: "With --tls: the file to write the certificate to, for clients to trust.")
    var certificate: String?

    func validate() throws {
        guard (0...1).contains(failRate) else { throw ValidationError("--fail-rate is a share: 0 to 1.") }
        guard tls == (certificate != nil) else { throw ValidationError("--tls and --certificate go together.") }
    }

    func run() async throws {
        var configuration = S3TestServer.Configuration()
        let user = S3TestServer.Configuration.User.generated(accessKeyID: accessKey, secretAccessKey: secretKey)
        configuration.users = [user]
        configuration.buckets = bucket.map { .init($0, hasObjectLock: objectLock, hasVersions: objectLock) }
        configuration.region = region
        configuration.storage = folder.map { .folder($0) } ?? .memory
        configuration.delay = delay.value
        configuration.quota = quota
        configuration.port = port
        configuration.behaviour = behaviour.value
        configuration.behaviour.answersMD5ETags = !noMD5
        configuration.security = tls ? .selfSigned : .none
        // Nobody can ask a command for them.
        configuration.logLimit = 0

        // Before the server runs, so that a signal finds it in place.
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withS3TestServer(configuration) { server in
            if failRate > 0 {
                server.add(ServerFault(.answer(.slowDown()), occurrence: .share(failRate, seed: seed)))
            }
            if let certificate, let text = server.certificate { try write(text, to: certificate) }
            show(server, user)
            for await _ in signals { break }
        }
    }

    private func show(_ server: S3TestServer, _ user: S3TestServer.Configuration.User) {
        print("export AWS_ENDPOINT_URL=\(server.endpoint)")
        print("export AWS_ACCESS_KEY_ID=\(user.accessKeyID)")
        print("export AWS_SECRET_ACCESS_KEY=\(user.secretAccessKey)")
        print("export AWS_REGION=\(region)")
        if let certificate { print("export AWS_CA_BUNDLE=\(certificate)") }
        print("export S3_TEST_BUCKET=\(bucket.first ?? "")")
        flush()
    }
}
