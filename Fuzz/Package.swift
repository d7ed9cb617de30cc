// swift-tools-version: 6.2
import PackageDescription

// libFuzzer needs unsafe flags, which SwiftPM refuses in a package that others depend on: so a package of its own.
let package = Package(
    name: "hawser-fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "hawser", path: "..")],
    targets: [
        .target(name: "CLibFuzzer"),
        .executableTarget(
            name: "HawserFuzz",
            dependencies: ["CLibFuzzer", .product(name: "HawserTesting", package: "hawser")],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]
        ),
    ],
    swiftLanguageModes: [.v6]
)
