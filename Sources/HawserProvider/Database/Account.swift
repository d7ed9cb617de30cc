import GRDB
import HawserControl
import HawserFormat

/// Bytes: the table's checks let no sum be larger (1 EiB).
let ledgerBound = 1 << 60

/// A folder with all whose quota it counts against.
struct Account {
    var own: FolderRecord
    /// The tenant's, for a subtenant's folder.
    var parent: FolderRecord?

    init(_ db: Database, _ tenant: ControlID, _ subtenant: ControlID?, _ repository: ControlID) throws {
        own = try db.folder(tenant, subtenant, repository)
        parent = subtenant == nil ? nil : try db.folder(tenant, nil, repository)
    }

    init(own: FolderRecord) {
        self.own = own
    }

    init(_ db: Database, folder: ControlID) throws {
        let row = try db.one("folder", id: folder, what: "folder").row
        try self.init(db, row.id("tenant"), row.optionalID("subtenant"), row.id("repository"))
    }

    var all: [FolderRecord] { [own] + (parent.map { [$0] } ?? []) }

    /// Whichever leaves less.
    var tightest: FolderRecord {
        guard let parent, let free = parent.free else { return own }
        return free < own.free ?? .max ? parent : own
    }

    var free: Int? { tightest.free }
    /// A listing found more than the limit of one of them allows.
    var isOver: Bool { all.contains(where: \.isOver) }
    var quota: QuotaState { tightest.quota }

    func shortage(_ asked: Int) -> AccountShortage? {
        // Without a limit too there is an end, far beyond any storage.
        let free = free ?? all.reduce(ledgerBound) { max(0, min($0, ledgerBound - $1.used - $1.allReserved)) }
        guard free < asked else { return nil }
        return AccountShortage(asked: asked, free: free, isTenants: tightest.subtenant == nil)
    }

    /// Whether a prune may have this beyond the limit.
    func allowsOutside(_ bytes: Int, _ settings: LedgerSettings) -> Bool {
        all.allSatisfy { folder in
            (folder.free ?? .max) >= bytes || folder.outside + bytes <= settings.pruneAllowance(used: folder.used)
        }
    }

    /// As ``Transaction/apply(_:to:)`` does, without reading: for changes that free nothing.
    mutating func apply(_ change: Transaction.Change) {
        own.committed = min(ledgerBound, own.committed + change.committed)
        own.reserved += change.reserved
        own.unproven = min(ledgerBound, max(0, own.unproven + change.unproven))
        own.outside = min(ledgerBound, max(0, own.outside + change.outside))
        guard var parent else { return }
        parent.belowCommitted = min(ledgerBound, parent.belowCommitted + change.committed)
        parent.belowReserved += change.reserved
        parent.outside = min(ledgerBound, max(0, parent.outside + change.outside))
        self.parent = parent
    }
}

/// Every change of the sums goes through here, so that tenant and subtenant change together.
extension Transaction {
    struct Change {
        var committed = 0
        var reserved = 0
        /// Of `committed`: nobody knows yet whether it is there.
        var unproven = 0
        var outside = 0
    }

    func apply(_ change: Change, to folder: FolderRecord) throws {
        // What is added while a listing runs may not be in it. At the bound of the table's checks sums stand still: a
        // write that fails would hold up others of its transaction.
        try db.run(
            """
            UPDATE folder SET committed = min(?6, committed + ?1), reserved = reserved + ?2,
                unproven = min(?6, max(0, unproven + ?3)), outside = min(?6, max(0, outside + ?4)),
                added = min(?6, added + max(0, ?1)), addedUnproven = min(?6, max(0, addedUnproven + ?3))
            WHERE id = ?5
            """,
            [change.committed, change.reserved, change.unproven, change.outside, folder.id.text, ledgerBound]
        )
        if folder.subtenant != nil {
            try db.run(
                """
                UPDATE folder SET belowCommitted = min(?6, belowCommitted + ?1), belowReserved = belowReserved + ?2,
                    outside = min(?6, max(0, outside + ?3))
                WHERE tenant = ?4 AND repository = ?5 AND IFNULL(subtenant, '') = ''
                """,
                [
                    change.committed, change.reserved, change.outside, folder.tenant.text, folder.repository.text,
                    ledgerBound,
                ]
            )
        }
        if change.committed < 0 { try renewAllowance(-change.committed, of: folder) }
    }

    /// What is freed gives a prune's allowance back; below the limit it is whole.
    private func renewAllowance(_ freed: Int, of folder: FolderRecord) throws {
        try db.run(
            """
            UPDATE folder SET outside = CASE
                WHEN quota IS NULL OR committed + belowCommitted <= quota THEN 0 ELSE max(0, outside - ?1) END
            WHERE tenant = ?2 AND repository = ?3 AND (id = ?4 OR IFNULL(subtenant, '') = '')
            """,
            [freed, folder.tenant.text, folder.repository.text, folder.id.text]
        )
    }
}

extension Database {
    /// Sets `isOver` of the folder, and of its tenant's, to what the sums say.
    ///
    /// - Returns: whether one of them is over.
    @discardableResult
    func refreshOver(_ folder: ControlID) throws -> Bool {
        let account = try Account(self, folder: folder)
        for folder in account.all {
            let isOver = folder.limit.map { folder.used > $0 } ?? false
            if isOver != folder.isOver { try update("folder", id: folder.id, ["isOver": isOver]) }
        }
        return account.all.contains { folder in folder.limit.map { folder.used > $0 } ?? false }
    }
}
