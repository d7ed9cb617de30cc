import Foundation
import Testing

enum CacheDamage {
    /// Changes the last byte of every file that lies below a folder called `name` somewhere below `root`.
    static func flipLastByte(ofEveryFileBelow root: String, in name: String) throws {
        var count = 0
        for path in FileManager.default.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
            let url = URL(filePath: root + "/" + path)
            guard path.split(separator: "/").contains(Substring(name)), var data = try? Data(contentsOf: url),
                let last = data.indices.last
            else { continue }
            data[last] ^= 1
            try data.write(to: url)
            count += 1
        }
        #expect(count > 0)
    }
}
