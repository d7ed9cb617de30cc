// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who uses Hawser builds it.
let package = Package(
    name: "hawser-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "hawser", path: ".."),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        .executableTarget(
            name: "KernelCeiling",
            dependencies: [
                .product(name: "HawserFormat", package: "hawser"),
                .product(name: "Crypto", package: "swift-crypto"),
            ]
        ),
        .executableTarget(name: "ManyTenants", dependencies: [.product(name: "Hawser", package: "hawser")]),
        .executableTarget(
            name: "ProviderLoad",
            dependencies: [
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)
