import Testing

@testable import HawserFormat

@Suite struct ContentListTests {
    private struct Built {
        var content: Content
        var blobs: [TreeBlob]

        init(_ extents: [Extent]) throws {
            var builder = ContentListBuilder(id: TreeFixtures.id)
            blobs = []
            for extent in extents { blobs += try builder.append(extent) }
            let end = builder.finish()
            blobs += end.blobs
            content = end.content
        }

        func list(_ id: ChunkID, level: Int) throws -> ContentList {
            let bytes = blobs.first { $0.id == id }?.bytes ?? []
            return try ContentList(decoding: bytes, level: level)
        }

        func extents() throws -> [Extent] {
            switch content {
            case .inline: []
            case .extents(let extents): extents
            case .list(let id, let height): try extents(id, height)
            }
        }

        private func extents(_ id: ChunkID, _ level: Int) throws -> [Extent] {
            switch try list(id, level: level).items {
            case .extents(let extents): extents
            case .children(let children): try children.flatMap { try extents($0.id, level - 1) }
            }
        }
    }

    private func chunks(_ range: Range<Int>) -> [Extent] {
        range.map { .data(TreeFixtures.chunkID($0), length: 1 << 20) }
    }

    @Test func fewExtentsStayInTheEntry() throws {
        #expect(try Built([]).content == .inline([]))
        #expect(try Built(chunks(0..<64)).content == .extents(chunks(0..<64)))
        #expect(try Built(chunks(0..<64)).blobs.isEmpty)
        let list = try Built(chunks(0..<65))
        #expect(list.blobs.count == 1)
        #expect(try list.extents() == chunks(0..<65))
    }

    @Test func neighboursOfZerosAndHolesAreOne() throws {
        let parts: [Extent] = [
            .zero(length: 1), .zero(length: 2), .hole(length: 3), .hole(length: 4), .zero(length: 5),
        ]
        let built = try Built(parts)
        #expect(built.content == .extents([.zero(length: 3), .hole(length: 7), .zero(length: 5)]))
        let terabyte = try Built([Extent](repeating: .hole(length: 1 << 20), count: 1 << 20))
        #expect(terabyte.content == .extents([.hole(length: 1 << 40)]))
    }

    @Test func longListsSurviveTheRoundTrip() throws {
        var random = TreeFixtures.Generator(state: 15)
        for extents in [random.extents(5_000), chunks(0..<60_000)] {
            let built = try Built(extents)
            #expect(try built.extents() == extents)
            #expect(built.blobs.allSatisfy { $0.type == .contentList && $0.bytes.count <= ContentList.lengthLimit })
            guard case .list(let id, let height) = built.content else { return }
            #expect(height == 1)
            #expect(try built.list(id, level: height).length == extents.reduce(0) { $0 + UInt64($1.length) })
            let mean = built.blobs.reduce(0) { $0 + $1.bytes.count } / built.blobs.count
            #expect((20_000...50_000).contains(mean))
        }
    }

    @Test func insertionInAHugeFileChangesFewBlobs() throws {
        let before = try Built(chunks(0..<60_000))
        let known = Set(before.blobs.map(\.id))
        for position in [0, 30_000, 59_999] {
            var extents = chunks(0..<60_000)
            extents.insert(.data(TreeFixtures.chunkID(1 << 40), length: 5), at: position)
            let after = try Built(extents)
            #expect(after.blobs.filter { !known.contains($0.id) }.count <= 8)
        }
    }

    @Test func repeatedChunksAndAlternatingHolesMakeBoundedBlobs() throws {
        // A chunk whose id ends a list.
        let ending = try #require((0..<20_000).map(TreeFixtures.chunkID).first { $0.prefix64 >> 54 == 0 })
        let repeated = try Built([Extent](repeating: .data(ending, length: 7), count: 10_000))
        #expect(repeated.blobs.allSatisfy { $0.bytes.count < ContentList.minimumLength + 64 })
        let sparse = try Built((0..<100_000).map { $0.isMultiple(of: 2) ? .hole(length: 4_096) : .zero(length: 4_096) })
        #expect(sparse.blobs.allSatisfy { $0.bytes.count <= ContentList.lengthLimit })
        #expect(try sparse.extents().count == 100_000)
    }

    @Test func threeLevelsAreFound() throws {
        // Chunks whose ids always end a list, so that 230 items make a blob.
        let ending = try #require((0..<20_000).map(TreeFixtures.chunkID).first { $0.prefix64 >> 54 == 0 })
        var builder = ContentListBuilder { bytes, type in
            var id = TreeFixtures.id(bytes, type).bytes
            id[0] = 0
            id[1] &= 0x3f
            return ChunkID(id) ?? ending
        }
        for _ in 0..<120_000 { _ = try builder.append(.data(ending, length: 9)) }
        guard case .list(_, let height) = builder.finish().content else { return }
        #expect(height == 2)
    }

    @Test func finishingACheckpointLeavesTheBuilderAsItWas() throws {
        var builder = ContentListBuilder(id: TreeFixtures.id)
        for (index, extent) in chunks(0..<5_000).enumerated() {
            _ = try builder.append(extent)
            if index % 1_000 == 60 { #expect(try builder.finish().content == Built(chunks(0..<index + 1)).content) }
        }
        #expect(try builder.finish().content == Built(chunks(0..<5_000)).content)
    }

    @Test func offsetsFindTheirItem() throws {
        let extents: [Extent] = (0..<100).map { .data(TreeFixtures.chunkID($0), length: $0 + 1) }
        let built = try Built(extents)
        guard case .list(let id, let height) = built.content else { return }
        let list = try built.list(id, level: height)
        for index in 0..<list.count {
            let range = list.range(of: index)
            #expect(list.index(covering: range.lowerBound) == index)
            #expect(list.index(covering: range.upperBound - 1) == index)
            #expect(extents.extent(covering: range.upperBound - 1)?.index == index)
            #expect(extents.extent(covering: range.upperBound - 1)?.start == range.lowerBound)
        }
        #expect(list.index(covering: list.length) == nil)
        #expect(list.index(covering: .max) == nil)
        #expect(extents.extent(covering: list.length) == nil)
    }

    @Test(arguments: [Extent.zero(length: 0), .hole(length: -1), .data(TreeFixtures.chunkID(0), length: 1 << 24)])
    func refusesLengths(_ extent: Extent) {
        var builder = ContentListBuilder(id: TreeFixtures.id)
        #expect(throws: HawserError.self) { try builder.append(extent) }
    }

    @Test func refusesFilesThatAreTooLarge() throws {
        var builder = ContentListBuilder(id: TreeFixtures.id)
        _ = try builder.append(.hole(length: .max))
        #expect(throws: HawserError.self) { try builder.append(.hole(length: 1)) }
        #expect(builder.finish().content == .extents([.hole(length: .max)]))
    }

    @Test func damagedListsAreRefused() throws {
        var random = TreeFixtures.Generator(state: 16)
        let built = try Built(random.extents(100))
        let bytes = built.blobs[0].bytes
        for length in 0..<2 {
            #expect(throws: HawserError.self) { try ContentList(decoding: Array(bytes[..<length]), level: 0) }
        }
        for length in 2..<bytes.count { _ = try? ContentList(decoding: Array(bytes[..<length]), level: 0) }
        for _ in 0..<3_000 {
            var changed = bytes
            changed[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
            _ = try? ContentList(decoding: changed, level: 0)
            changed[1] = 1
            _ = try? ContentList(decoding: changed, level: 1)
        }
        let id = TreeFixtures.chunkID(1).bytes
        let maximum: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]
        for (hostile, level) in [
            ([1, 0], 0), ([1, 1], 1), ([1, 1] + id + [0], 1), ([1, 1] + id + maximum + id + [1], 1),
            ([1, 0, 2, 1, 2, 1], 0), ([1, 16] + id + [1], 16), ([1, 0, 4, 1], 0), ([2, 0, 2, 1], 0),
        ] as [([UInt8], Int)] {
            #expect(throws: HawserError.self) { try ContentList(decoding: hostile, level: level) }
        }
        #expect(throws: HawserError.self) { try ContentList(decoding: bytes, level: 1) }
    }
}
