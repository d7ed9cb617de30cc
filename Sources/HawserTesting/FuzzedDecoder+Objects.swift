import HawserFormat

extension FuzzedDecoder {
    static let config = FuzzedDecoder(
        "config",
        seeds: {
            let secrets = RepositorySecrets.random()
            let config = RepositoryConfig(
                repositoryID: ring.repositoryID,
                secrets: secrets,
                fileChunker: .files,
                imageChunker: .fixed(4 << 20)
            )
            return [try config.encode(ring)]
        },
        decode: { bytes in
            _ = try RepositoryConfig.header(of: bytes)
            _ = try RepositoryConfig(decoding: bytes, ring: ring)
        }
    )

    /// The slot's clear part; an opening would cost a password hash for each input.
    static let keySlot = FuzzedDecoder(
        "key-slot",
        seeds: {
            let metadata = KeySlot.Metadata(created: time, username: [0x61], hostname: [0xff], label: [])
            let cheap = ScryptParameters(cost: 2, blockSize: 8, parallelism: 1)
            return [try KeySlot.seal(ring, metadata: metadata, password: Secret([1]), cost: cheap).bytes]
        },
        decode: { _ = try KeySlot(decoding: $0, name: ObjectName(hashOf: $0)) }
    )

    static let sealedObject = FuzzedDecoder(
        "sealed-object",
        seeds: { [try sealer.seal([1, 2, 3], kind: .snapshot)] },
        decode: { _ = try sealer.open($0, kind: .snapshot) }
    )

    static let indexSegment = FuzzedDecoder(
        "index-segment",
        seeds: {
            let pack = IndexSegment.PackInfo(name: ObjectName(hashOf: [1]), length: 1 << 20)
            let record = IndexRecord(
                blob: BlobRecord(id: chunk, type: .data, epoch: 1, offset: 16, storedLength: 100, plainLength: 90),
                packNumber: 0
            )
            let segment = try IndexSegment(kind: .data, packs: [pack], records: [record], replaces: [pack.name])
            return [try sealer.open(segment.encode(sealer), kind: .dataIndex)]
        },
        decode: { bytes in
            let object = try sealer.seal(bytes, kind: .dataIndex)
            let segment = try IndexSegment(decoding: object, kind: .data, sealer: sealer)
            for record in segment.records { _ = segment.firstIndex(of: record.blob.id) }
        }
    )

    static let snapshot = FuzzedDecoder(
        "snapshot",
        seeds: {
            var snapshot = Snapshot(
                time: time,
                hostname: Array("host".utf8),
                username: [0xff],
                paths: [Array("/home".utf8)],
                tree: chunk,
                treeHeight: 1,
                programVersion: "hawser",
                summary: Snapshot.Summary(started: time, ended: time)
            )
            snapshot.tags = [Array("daily".utf8)]
            return [try sealer.open(snapshot.encode(sealer).object, kind: .snapshot)]
        },
        decode: { _ = try Snapshot(decoding: sealer.seal($0, kind: .snapshot), sealer: sealer) }
    )

    static let checkpoint = FuzzedDecoder(
        "checkpoint",
        seeds: {
            let checkpoint = Checkpoint(
                started: time,
                time: time,
                hostname: Array("host".utf8),
                username: [],
                paths: [Array("/home".utf8)],
                programVersion: "hawser"
            )
            return [try sealer.open(checkpoint.encode(sealer).object, kind: .checkpoint)]
        },
        decode: { _ = try Checkpoint(decoding: sealer.seal($0, kind: .checkpoint), sealer: sealer) }
    )

    static let refs = FuzzedDecoder(
        "refs",
        seeds: { [try Refs(snapshot: ObjectName(hashOf: []), generation: 1, packs: [pack]).encode()] },
        decode: { bytes in
            let refs = try Refs(decoding: bytes)
            _ = try refs.resolve(base: refs)
        }
    )

    static let condemned = FuzzedDecoder(
        "condemned",
        seeds: { [try Condemned(packs: [pack], fence: 1, created: time).encode()] },
        decode: { _ = try Condemned(decoding: $0) }
    )

    /// Of no repository. Only what is readable without keys means the same in every run.
    private static let ring = KeyRing.random()
    // Always the same keys, so that kept inputs keep their meaning.
    static let sealer = ObjectSealer(
        repositoryID: [UInt8](repeating: 1, count: 32),
        epochs: [1: [UInt8](repeating: 3, count: 32)],
        currentEpoch: 1
    )
    private static let time = Timestamp(seconds: 1_769_904_000, nanoseconds: 5)
    private static let pack = PackReference(name: ObjectName(hashOf: [1]), length: 1 << 20, isMetadata: false)
    static let chunk = ids.id(of: UnsafeRawBufferPointer(start: nil, count: 0), type: .data)
    static let ids = ChunkIDKeys(secret: [UInt8](repeating: 4, count: 32))
}
