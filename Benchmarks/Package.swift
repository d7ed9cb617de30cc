// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who uses Hawser builds it.
let package = Package(
    name: "hawser-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "hawser", path: ".."),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
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
    ],
    swiftLanguageModes: [.v6]
)
