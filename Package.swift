// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "hawser",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Hawser", targets: ["Hawser"]),
        .library(name: "HawserFormat", targets: ["HawserFormat"]),
        .library(name: "HawserS3", targets: ["HawserS3"]),
        .library(name: "HawserTesting", targets: ["HawserTesting"]),
        // Apart from HawserTesting, because it brings an HTTP server along.
        .library(name: "HawserTestServer", targets: ["HawserTestServer"]),
        .executable(name: "hawser", targets: ["HawserCommand"]),
        .executable(name: "hawser-gateway", targets: ["HawserGatewayCommand"]),
        .executable(name: "hawser-provider", targets: ["HawserProviderCommand"]),
        .executable(name: "s3-test-server", targets: ["S3TestServerCommand"]),
    ],
    dependencies: [
        .package(url: "https://github.com/CoreOffice/XMLCoder", from: "0.18.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // System libraries, and C for what Swift's Glibc module lacks.
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"]), .brew(["lz4"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
        .target(name: "CHawser"),

        // Arrows point down only; scripts/check-layering holds them.
        .target(
            name: "HawserFormat",
            dependencies: [
                "CLZ4", "CZstd",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]
        ),
        .target(
            name: "HawserStorage",
            dependencies: [
                "CHawser", "HawserFormat",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        .target(
            name: "HawserS3",
            dependencies: [
                "CHawser", "HawserFormat", "HawserStorage",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "XMLCoder", package: "XMLCoder"),
            ]
        ),
        .target(name: "HawserTransfer", dependencies: ["HawserFormat", "HawserStorage"]),
        .target(
            name: "HawserRepository",
            dependencies: [
                "CHawser", "HawserFormat", "HawserStorage", "HawserTransfer",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "HawserMovers",
            dependencies: [
                "CHawser", "HawserFormat", "HawserStorage", "HawserTransfer", "HawserRepository",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        .target(
            name: "HawserControl",
            dependencies: [
                "HawserFormat", "HawserStorage", "HawserTransfer",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
        // What all servers of the provider share: addresses, the PROXY protocol, connections and their limits, metrics.
        .target(
            name: "HawserNetwork",
            dependencies: [
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
        .target(
            name: "HawserMetrics",
            dependencies: [
                "HawserFormat", "HawserNetwork",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        .target(
            name: "HawserGateway",
            dependencies: [
                "HawserControl", "HawserFormat", "HawserNetwork", "HawserS3", "HawserStorage",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ]
        ),
        .target(
            name: "Hawser",
            dependencies: [
                "CHawser", "HawserFormat", "HawserStorage", "HawserS3", "HawserTransfer", "HawserRepository",
                "HawserMovers", "HawserControl",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]
        ),
        .target(
            name: "HawserProvider",
            dependencies: [
                "CHawser", "HawserFormat", "HawserStorage", "HawserS3", "HawserControl", "HawserNetwork",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ]
        ),
        .target(
            name: "HawserTesting",
            dependencies: ["HawserFormat", "HawserStorage", .product(name: "Crypto", package: "swift-crypto")]
        ),
        .target(
            name: "HawserTestServer",
            dependencies: [
                "HawserFormat", "HawserStorage", "HawserTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "XMLCoder", package: "XMLCoder"),
            ]
        ),
        .executableTarget(
            name: "S3TestServerCommand",
            dependencies: [
                "HawserTestServer", "HawserTesting",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .executableTarget(
            name: "HawserCommand",
            dependencies: [
                "CHawser", "Hawser", "HawserControl",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .executableTarget(
            name: "HawserGatewayCommand",
            dependencies: [
                "CHawser", "HawserFormat", "HawserGateway", "HawserMetrics", "HawserNetwork", "HawserStorage",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .executableTarget(
            name: "HawserProviderCommand",
            dependencies: [
                "CHawser", "HawserControl", "HawserFormat", "HawserMetrics", "HawserNetwork", "HawserProvider",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),

        // Programs to learn from; they are built with everything else, so that they keep working.
        .executableTarget(name: "LocalBackup", dependencies: ["Hawser"], path: "Examples/LocalBackup"),
        .executableTarget(name: "S3Backup", dependencies: ["Hawser"], path: "Examples/S3Backup"),
        .executableTarget(name: "StreamBackup", dependencies: ["Hawser"], path: "Examples/StreamBackup"),
        .executableTarget(
            name: "EmbeddedAgent",
            dependencies: [
                "Hawser",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Examples/EmbeddedAgent"
        ),

        .executableTarget(
            name: "DirectModeBackup",
            dependencies: [
                "Hawser", "HawserProvider", "HawserTestServer",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Examples/DirectModeBackup"
        ),
        .executableTarget(
            name: "GatewayModeBackup",
            dependencies: [
                "Hawser", "HawserGateway", "HawserNetwork", "HawserProvider", "HawserTestServer",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Examples/GatewayModeBackup"
        ),

        .testTarget(
            name: "HawserFormatTests",
            dependencies: ["HawserFormat", "HawserTesting", .product(name: "Crypto", package: "swift-crypto")]
        ),
        .testTarget(
            name: "HawserStorageTests",
            dependencies: ["HawserFormat", "HawserStorage", "HawserTransfer", "HawserTesting"]
        ),
        .testTarget(
            name: "HawserS3Tests",
            dependencies: [
                "HawserFormat", "HawserStorage", "HawserS3", "HawserTesting", "HawserTestServer",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        .testTarget(
            name: "HawserTestServerTests",
            dependencies: [
                "HawserFormat", "HawserTestServer", "HawserTesting",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
        .testTarget(
            name: "HawserRepositoryTests",
            dependencies: [
                "HawserFormat", "HawserStorage", "HawserTransfer", "HawserRepository", "HawserTesting",
                .product(name: "Crypto", package: "swift-crypto"),
            ]
        ),
        .testTarget(
            name: "HawserControlTests",
            dependencies: [
                "HawserFormat", "HawserStorage", "HawserTransfer", "HawserControl", "HawserTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(name: "HawserMoversTests", dependencies: ["HawserMovers", "HawserTesting"]),
        .testTarget(
            name: "HawserProviderTests",
            dependencies: [
                "Hawser", "HawserControl", "HawserFormat", "HawserGateway", "HawserNetwork", "HawserProvider",
                "HawserS3",
                "HawserStorage", "HawserTesting", "HawserTestServer", "HawserTransfer",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Yams", package: "Yams"),
            ]
        ),
        .testTarget(
            name: "HawserProviderCommandTests",
            dependencies: [
                "HawserControl", "HawserFormat", "HawserProvider", "HawserProviderCommand",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .testTarget(name: "HawserTests", dependencies: ["Hawser", "HawserTesting"]),
        .testTarget(
            name: "HawserNetworkTests",
            dependencies: [
                "HawserNetwork", "HawserTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
        .testTarget(
            name: "HawserMetricsTests",
            dependencies: [
                "HawserMetrics",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        .testTarget(
            name: "HawserGatewayTests",
            dependencies: [
                "HawserControl", "HawserFormat", "HawserGateway", "HawserMetrics", "HawserNetwork", "HawserTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ]
        ),
        .testTarget(
            name: "HawserCommandTests",
            dependencies: [
                "Hawser", "HawserCommand", "HawserControl",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        // Runs the built command as a process; the dependency has it built first.
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "CXattr", "HawserCommand", "HawserFormat", "HawserGatewayCommand", "HawserProviderCommand",
                "HawserRepository", "HawserStorage", "HawserTestServer", "HawserTesting", "HawserTransfer",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        ),
        // Against a real server, which scripts/test-storage starts; otherwise they say why they don't run.
        .testTarget(
            name: "StorageTests",
            dependencies: [
                "HawserFormat", "HawserStorage", "HawserS3", "HawserTesting", "HawserTestServer", "EndToEndTests",
                "HawserCommand", .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ]
        ),
        // Extended attributes, which Swift's Glibc module lacks: for tests only.
        .systemLibrary(name: "CXattr", path: "Tests/CXattr"),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        ]
    if Context.environment["CI"] != nil {
        target.swiftSettings?.append(.treatAllWarnings(as: .error))
    }
}
