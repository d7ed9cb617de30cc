import HawserFormat
import Testing

@testable import HawserS3

@Suite struct S3InventoryTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func versionsAndMarkersComeInOrder() throws {
        let xml = """
            <ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
            <NextKeyMarker>f/b%2Bc</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker>
            <Version><Key>f/a+x</Key><VersionId>1</VersionId><Size>7</Size>
            <LastModified>2026-01-01T00:00:00.000Z</LastModified></Version>
            <DeleteMarker><Key>f/a+x</Key><VersionId>0</VersionId></DeleteMarker>
            <Version><Key>f/b%2Bc</Key><VersionId>2</VersionId><Size>5</Size></Version></ListVersionsResult>
            """
        let page = try #require(S3InventoryXML.versions(bytes(xml)))
        #expect(page.next == S3Marker(key: "f/b+c", id: "2"))
        var walk = S3InventoryWalk<StoredVersion>(folder: "f/")
        let found = try walk.add(page)
        #expect(found.map(\.key) == ["a x", "a x", "b+c"])
        #expect(found.map(\.item.length).reduce(0, +) == 12)
        #expect(found.filter(\.item.isDeleteMarker).map(\.item.version) == ["0"])
        #expect(!walk.isOver)
        // The same page again leads nowhere.
        #expect(throws: HawserError.self) { try walk.add(page) }
    }

    @Test(arguments: [
        "", "x", "<html></html>", "<ListVersionsResult></ListVersionsResult>",
        "<R><IsTruncated>true</IsTruncated></R>",
        "<R><IsTruncated>false</IsTruncated><Version><Key>k</Key></Version></R>",
        "<R><IsTruncated>false</IsTruncated><Version><Key>k</Key><Size>-1</Size></Version></R>",
        "<R><IsTruncated>false</IsTruncated><Version><Key>k</Key><Size>99999999999999999999</Size></Version></R>",
    ])
    func whatIsNoListIsRefused(xml: String) {
        #expect(S3InventoryXML.versions(bytes(xml)) == nil)
    }

    @Test func aListThatGoesBackOrAsideIsRefused() throws {
        typealias Page = S3InventoryPage<StoredVersion>
        let entry = { (key: String) in
            Page.Entry(key: Array(key.utf8), id: nil, item: StoredVersion(key: "", length: 1))
        }
        var walk = S3InventoryWalk<StoredVersion>(folder: "f/")
        #expect(try walk.add(Page(entries: [entry("f/b"), entry("f/a")], next: S3Marker(key: "1"))).count == 2)
        // What was given is not given again.
        #expect(
            try walk.add(Page(entries: [entry("f/b"), entry("f/c")], next: S3Marker(key: "2"))).map(\.key) == ["c"]
        )
        var other = walk
        #expect(throws: HawserError.self) { try other.add(Page(entries: [entry("f/a")], next: nil)) }
        #expect(throws: HawserError.self) { try walk.add(Page(entries: [entry("g/a")], next: nil)) }
    }

    @Test func aListWithoutAnEndIsLeft() {
        var walk = S3InventoryWalk<StoredVersion>(folder: "")
        let error = #expect(throws: HawserError.self) {
            for index in 0... { _ = try walk.add(S3InventoryPage(entries: [], next: S3Marker(key: "\(index)"))) }
        }
        #expect(error?.code == .unavailable)
    }

    @Test func partsAndVersioning() {
        let parts = S3InventoryXML.parts(
            bytes(
                "<R><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"
                    + "<Part><Size>5</Size></Part><Part><Size>6</Size></Part></R>"
            )
        )
        #expect(parts?.bytes == 11)
        #expect(parts?.next == 2)
        let root = "VersioningConfiguration"
        #expect(S3InventoryXML.versioning(bytes("<\(root)/>")) == false)
        #expect(S3InventoryXML.versioning(bytes("<\(root)><Status>Suspended</Status></\(root)>")) == true)
        #expect(S3InventoryXML.versioning(bytes("<html/>")) == nil)
    }
}
