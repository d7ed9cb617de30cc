import Testing

@testable import HawserFormat

struct SecretTests {
    @Test func secretsDoNotPrintThemselves() {
        let secret = Secret(Array("hunter2".utf8))
        var dumped = ""
        dump(secret, to: &dumped)
        var ring = ""
        dump(ObjectFixtures.ring, to: &ring)
        for text in ["\(secret)", String(reflecting: secret), dumped, "\([secret])", "\(Optional(secret) as Any)"] {
            #expect(!text.contains("hunter2") && text.contains("<secret>"))
            #expect(!text.contains("104"))
        }
        #expect(ring.contains("<secret>"))
        #expect(!ring.contains("204") && !ring.contains("225"))
    }

    @Test func bytesAndEqualityAreThoseGiven() {
        #expect(Secret([1, 2, 3]).bytes == [1, 2, 3])
        #expect(Secret([1, 2, 3]) == Secret([1, 2, 3]))
        #expect(Secret([1, 2, 3]) != Secret([1, 2, 4]))
        #expect(Secret.random().count == 32)
        #expect(Secret.random() != Secret.random())
    }
}
