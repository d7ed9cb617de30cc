import HawserFormat
import HawserStorage
import HawserTesting
import Testing

@testable import HawserS3

@Suite("Lists put together from a storage's pages")
struct S3ListAssemblyTests {
    private static let keys = (1...9).map { ObjectKey.config($0) }

    private static func page(
        _ keys: [String],
        continuation: String? = nil,
        isTruncated: Bool? = nil
    ) -> S3ListPage {
        S3ListPage(
            objects: keys.map { S3ListPage.Object(key: $0, length: 1, stored: nil) },
            isTruncated: isTruncated ?? (continuation != nil),
            continuation: continuation
        )
    }

    private static func assembly(after: ObjectKey? = nil, limit: Int = 4) -> S3ListAssembly {
        S3ListAssembly(folder: "f/", prefix: "config/", after: after, limit: limit)
    }

    @Test("What is not of the grammar, the folder or the prefix is skipped, and the page filled up")
    func foreign() throws {
        var assembly = Self.assembly()
        let first = [
            "config/1", "f/config/1", "f/config/01", "f/config/1.tmp", "f/keys/" + String(repeating: "a", count: 64),
        ]
        #expect(try !assembly.add(Self.page(first, continuation: "A")))
        #expect(assembly.nextRequest.continuation == "A")
        #expect(
            try assembly.add(Self.page(["f/config/2", "f/config/3", "f/config/4", "f/config/5"], continuation: "B"))
        )
        #expect(assembly.objects.map(\.key) == Array(Self.keys[0..<4]))
    }

    @Test("A repeated key is given once, and one from before the beginning not at all")
    func repetitions() throws {
        var assembly = Self.assembly(after: .config(2))
        #expect(
            try !assembly.add(Self.page(["f/config/1", "f/config/2", "f/config/3", "f/config/3"], continuation: "A"))
        )
        #expect(try assembly.add(Self.page(["f/config/3", "f/config/4"])))
        #expect(assembly.objects.map(\.key) == [.config(3), .config(4)])
    }

    @Test("Keys that go back are an error")
    func order() throws {
        var assembly = Self.assembly()
        let error = #expect(throws: HawserError.self) {
            _ = try assembly.add(Self.page(["f/config/2", "f/config/1"]))
        }
        #expect(error?.code == .unavailable)
        #expect(error?.isRetryable == false)
    }

    @Test("Pages that lead nowhere end in an error")
    func endless() throws {
        var assembly = Self.assembly()
        #expect(try !assembly.add(Self.page([], continuation: "A")))
        #expect(throws: HawserError.self) { _ = try assembly.add(Self.page([], continuation: "A")) }

        assembly = Self.assembly()
        #expect(try !assembly.add(Self.page(["f/config/1"], isTruncated: true)))
        #expect(assembly.nextRequest.after == .config(1))
        #expect(throws: HawserError.self) { _ = try assembly.add(Self.page(["f/config/1"], isTruncated: true)) }

        assembly = Self.assembly()
        #expect(throws: HawserError.self) {
            for number in 0..<10_000 { _ = try assembly.add(Self.page(["other"], continuation: String(number))) }
        }
    }

    @Test("A list's XML is read, encoded or not, and nothing else is taken for one")
    func xml() throws {
        func page(_ text: String) -> S3ListPage? { S3ListPage(xml: Array(text.utf8)) }
        let list = try #require(
            page(
                """
                <?xml version="1.0" encoding="UTF-8"?>
                <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>hawser</Name><Prefix/>
                <EncodingType>url</EncodingType><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>
                <NextContinuationToken>1/a+b==</NextContinuationToken>
                <Contents><Key>a+folder/%C3%BC%2B%25/x</Key><LastModified>2026-01-31T23:59:59.123Z</LastModified>
                <ETag>&quot;0&quot;</ETag><Size>17</Size><StorageClass>STANDARD</StorageClass></Contents>
                <Contents><Key>%ff</Key><Size>1</Size></Contents></ListBucketResult>
                """
            )
        )
        #expect(list.objects.map(\.key) == ["a folder/ü+%/x"])
        #expect(list.objects.map(\.length) == [17])
        #expect(list.objects[0].stored == Timestamp(seconds: 1_769_903_999, nanoseconds: 123_000_000))
        #expect(list.continuation == "1/a+b==")
        let plain = page(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a+b%20</Key><Size>1</Size></Contents></ListBucketResult>"
        )
        #expect(plain?.objects.map(\.key) == ["a+b%20"])
        #expect(page("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")?.objects.isEmpty == true)
        for text in [
            "", "<", "{}", "<html><body>Please log in</body></html>", "<Error><Code>SlowDown</Code></Error>",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>99999999999999999999</Size></Contents></ListBucketResult>",
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><ListBucketResult><IsTruncated>&b;</IsTruncated></ListBucketResult>",
        ] {
            #expect(page(text) == nil, "\(text)")
        }
    }
}
