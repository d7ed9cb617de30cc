import GRDB

/// The tables, version by version. A migration that was released is never changed.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        for (name, sql) in versions { migrator.registerMigration(name) { try $0.execute(sql: sql) } }
        return migrator
    }

    private static let versions = [
        ("1", version1), ("2", version2), ("3", version3), ("backups of devices", backupsOfDevices),
        ("bills of former folders", billsOfFormerFolders), ("removed subtenants", removedSubtenants),
        ("deletionCount", deletionCount), ("quotaRefused", "ALTER TABLE folder ADD COLUMN refused INTEGER"),
        ("webhookHost", webhookHost), ("receipts", receipts),
    ]

    // No sum goes beyond 1 EiB: four of them can be added without overflow, whatever a client tells.
    // Times are milliseconds since 1970, lengths are bytes. What is searched, summed or referred to has a column;
    // what only describes is JSON in `settings`.
    private static let version1 = """
        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE owner (
            id INTEGER PRIMARY KEY CHECK (id = 1), fence INTEGER NOT NULL, process TEXT NOT NULL,
            host TEXT NOT NULL, heartbeat INTEGER NOT NULL
        ) STRICT;
        INSERT INTO owner VALUES (1, 0, '', '', 0);
        CREATE TABLE secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID, STRICT;

        CREATE TABLE storage (
            id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, settings TEXT NOT NULL, created INTEGER NOT NULL,
            keyMustBeRotated INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE TABLE repository (
            id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, storage TEXT NOT NULL REFERENCES storage,
            settings TEXT NOT NULL, created INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE gateway (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL UNIQUE, address TEXT NOT NULL,
            publicKey BLOB, created INTEGER NOT NULL, lastSeen INTEGER
        ) STRICT;

        CREATE TABLE tenant (
            id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, isEnabled INTEGER NOT NULL, leaseEnd INTEGER,
            settings TEXT NOT NULL, created INTEGER NOT NULL, deleteAfter INTEGER, lastSnapshot INTEGER
        ) STRICT;
        CREATE TABLE subtenant (
            id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant, name TEXT NOT NULL,
            isEnabled INTEGER NOT NULL, created INTEGER NOT NULL, removed INTEGER, UNIQUE (tenant, name)
        ) STRICT;
        CREATE TABLE joinCode (
            hash BLOB PRIMARY KEY, tenant TEXT REFERENCES tenant, subtenant TEXT REFERENCES subtenant,
            gateway TEXT REFERENCES gateway ON DELETE CASCADE, expires INTEGER NOT NULL, used INTEGER
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE device (
            id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant, subtenant TEXT REFERENCES subtenant,
            name TEXT NOT NULL, publicKey BLOB NOT NULL, created INTEGER NOT NULL, lastSeen INTEGER, revoked INTEGER
        ) STRICT;
        CREATE INDEX deviceOfTenant ON device (tenant);

        CREATE TABLE folder (
            id TEXT PRIMARY KEY, repository TEXT NOT NULL REFERENCES repository,
            tenant TEXT NOT NULL REFERENCES tenant, subtenant TEXT REFERENCES subtenant,
            quota INTEGER CHECK (quota BETWEEN 0 AND 1152921504606846976),
            committed INTEGER NOT NULL DEFAULT 0 CHECK (committed BETWEEN 0 AND 1152921504606846976),
            reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND 1152921504606846976),
            belowCommitted INTEGER NOT NULL DEFAULT 0 CHECK (belowCommitted BETWEEN 0 AND 1152921504606846976),
            belowReserved INTEGER NOT NULL DEFAULT 0 CHECK (belowReserved BETWEEN 0 AND 1152921504606846976),
            pending INTEGER NOT NULL DEFAULT 0 CHECK (pending BETWEEN 0 AND 1152921504606846976),
            unproven INTEGER NOT NULL DEFAULT 0 CHECK (unproven BETWEEN 0 AND 1152921504606846976),
            outside INTEGER NOT NULL DEFAULT 0 CHECK (outside BETWEEN 0 AND 1152921504606846976),
            added INTEGER NOT NULL DEFAULT 0, addedUnproven INTEGER NOT NULL DEFAULT 0,
            reconciled INTEGER, objects INTEGER, round INTEGER NOT NULL DEFAULT 0, isListing INTEGER NOT NULL DEFAULT 0,
            isLoose INTEGER NOT NULL DEFAULT 0,
            generation INTEGER NOT NULL DEFAULT 0,
            epoch INTEGER NOT NULL, isOver INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        -- isLoose: leases were open during the last listing, so that some bytes may count twice until the next.
        CREATE UNIQUE INDEX folderOfWhom ON folder (tenant, repository, IFNULL(subtenant, ''));
        CREATE INDEX folderOfRepository ON folder (repository);

        CREATE TABLE session (
            fence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL REFERENCES tenant, subtenant TEXT REFERENCES subtenant,
            device TEXT NOT NULL REFERENCES device, purpose TEXT NOT NULL, agent TEXT NOT NULL,
            token BLOB NOT NULL UNIQUE, opened INTEGER NOT NULL, lastRequest INTEGER NOT NULL,
            ended INTEGER, problem TEXT, isForgotten INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX sessionOfTenant ON session (tenant, ended);
        CREATE INDEX liveSession ON session (fence) WHERE ended IS NULL;
        CREATE INDEX endedSession ON session (ended) WHERE ended IS NOT NULL;
        CREATE INDEX oldSession ON session (ended) WHERE NOT isForgotten;

        -- What a session has done to a folder. byKeys and byLeases count the same bytes, as told in two ways; when a
        -- listing has come between they may be different ones (isLoose).
        CREATE TABLE work (
            session TEXT NOT NULL REFERENCES session (id), folder TEXT NOT NULL REFERENCES folder,
            byKeys INTEGER NOT NULL DEFAULT 0, byLeases INTEGER NOT NULL DEFAULT 0,
            unproven INTEGER NOT NULL DEFAULT 0, isLoose INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (session, folder)
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX workOfFolder ON work (folder);
        CREATE TABLE lease ( -- used: as told; not told yet: NULL
            id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES session (id),
            folder TEXT NOT NULL REFERENCES folder, bytes INTEGER NOT NULL,
            remaining INTEGER NOT NULL CHECK (remaining >= 0), used INTEGER,
            isExact INTEGER NOT NULL, isOutside INTEGER NOT NULL, expires INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX leaseOfFolder ON lease (folder);
        CREATE INDEX leaseOfSession ON lease (session, folder);
        CREATE INDEX leaseEnd ON lease (expires);
        -- round: of listings, in which it was booked; listed: in which a listing saw it.
        CREATE TABLE reservation (
            session TEXT NOT NULL REFERENCES session (id), folder TEXT NOT NULL REFERENCES folder,
            key TEXT NOT NULL, length INTEGER NOT NULL, state TEXT NOT NULL, isOutside INTEGER NOT NULL DEFAULT 0,
            expires INTEGER, listed INTEGER NOT NULL DEFAULT 0, round INTEGER NOT NULL DEFAULT 0,
            booked INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (session, folder, key, length)
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX reservationOfKey ON reservation (folder, key);
        CREATE INDEX reservationEnd ON reservation (expires) WHERE expires IS NOT NULL;

        CREATE TABLE credential (
            id TEXT PRIMARY KEY, folder TEXT NOT NULL REFERENCES folder, purpose TEXT NOT NULL,
            generation INTEGER NOT NULL, issued INTEGER NOT NULL, expires INTEGER NOT NULL,
            UNIQUE (folder, purpose)
        ) STRICT;
        CREATE TABLE deletion (
            id TEXT PRIMARY KEY, folder TEXT NOT NULL REFERENCES folder, session TEXT NOT NULL,
            keys TEXT NOT NULL, pending INTEGER NOT NULL, requested INTEGER NOT NULL, notBefore INTEGER NOT NULL, state TEXT NOT NULL,
            isApproved INTEGER NOT NULL DEFAULT 0, measured INTEGER -- bytes that were there before the first was deleted
        ) STRICT;
        CREATE INDEX deletionDue ON deletion (state, notBefore);
        CREATE TABLE usageDay (
            folder TEXT NOT NULL REFERENCES folder, day TEXT NOT NULL, samples INTEGER NOT NULL,
            sum REAL NOT NULL, peak INTEGER NOT NULL, PRIMARY KEY (folder, day)
        ) WITHOUT ROWID, STRICT;

        CREATE TABLE audit (
            sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
            subject TEXT NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL
        ) STRICT;
        CREATE TRIGGER auditStays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
        CREATE TRIGGER auditKeeps BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
        """

    private static let version2 = """
        -- Until then a PUT with its ticket may come, also when the object was told to be stored.
        ALTER TABLE reservation ADD COLUMN ticketEnd INTEGER;
        UPDATE reservation SET ticketEnd = expires;
        -- What was issued for it is to be ended at the storage.
        ALTER TABLE folder ADD COLUMN mustRevoke INTEGER NOT NULL DEFAULT 0;

        -- What was told already; webhooks and what waits for them.
        CREATE TABLE alarm (
            code TEXT NOT NULL, subject TEXT NOT NULL, level INTEGER NOT NULL, PRIMARY KEY (code, subject)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE webhook (
            id TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, lastSuccess INTEGER, failure TEXT
        ) STRICT;
        CREATE TABLE webhookEvent (
            id TEXT PRIMARY KEY, webhook TEXT NOT NULL REFERENCES webhook, body TEXT NOT NULL, created INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX webhookEventDue ON webhookEvent (due);
        """

    private static let version3 = """
        -- Until then somebody may have credentials that store there.
        ALTER TABLE folder ADD COLUMN storableUntil INTEGER;
        UPDATE folder SET storableUntil = (SELECT MAX(expires) FROM credential WHERE credential.folder = folder.id);
        -- Of what passes the provider's servers: requests, and bytes of objects that tenants were sent.
        ALTER TABLE usageDay ADD COLUMN requests INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE usageDay ADD COLUMN egress INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX deletionOfFolder ON deletion (folder, state, id);
        """

    private static let backupsOfDevices = """
        -- Of the wall clock: since when it tries to back up, and its last backup that came to its end.
        ALTER TABLE device ADD COLUMN backsUpSince INTEGER;
        ALTER TABLE device ADD COLUMN lastBackup INTEGER;
        UPDATE device SET backsUpSince = created,
            lastBackup = (SELECT lastSnapshot FROM tenant WHERE tenant.id = device.tenant)
        WHERE id IN (SELECT device FROM session WHERE purpose = 'backup');
        ALTER TABLE tenant DROP COLUMN lastSnapshot;
        """

    private static let billsOfFormerFolders = """
        -- Names, for the bills of what is gone.
        CREATE TABLE formerFolder (
            id TEXT PRIMARY KEY, tenant TEXT NOT NULL, subtenant TEXT, repository TEXT NOT NULL
        ) WITHOUT ROWID, STRICT;
        -- As before, but a folder's days stay when it goes.
        CREATE TABLE newUsageDay (
            folder TEXT NOT NULL, day TEXT NOT NULL, samples INTEGER NOT NULL, sum REAL NOT NULL, peak INTEGER NOT NULL,
            requests INTEGER NOT NULL DEFAULT 0, egress INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (folder, day)
        ) WITHOUT ROWID, STRICT;
        INSERT INTO newUsageDay SELECT folder, day, samples, sum, peak, requests, egress FROM usageDay;
        DROP TABLE usageDay;
        ALTER TABLE newUsageDay RENAME TO usageDay;
        """

    private static let removedSubtenants = """
        -- As tenants: removed ones go at last, and their names are free before. Nobody has said so of those that are: they stay,
        -- for a hundred years.
        CREATE TABLE newSubtenant (
            id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant, name TEXT NOT NULL,
            isEnabled INTEGER NOT NULL, created INTEGER NOT NULL, deleteAfter INTEGER, keptUntil INTEGER,
            isDeleting INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        INSERT INTO newSubtenant (id, tenant, name, isEnabled, created, deleteAfter)
            SELECT id, tenant, CASE WHEN removed IS NULL THEN name ELSE substr(name, 1, length(name) - 33) END,
                isEnabled, created, removed + 36500 * 86400000 FROM subtenant;
        DROP TABLE subtenant;
        ALTER TABLE newSubtenant RENAME TO subtenant;
        CREATE UNIQUE INDEX subtenantName ON subtenant (tenant, name) WHERE deleteAfter IS NULL;
        -- As deleteAfter, by the steady clock.
        ALTER TABLE tenant ADD COLUMN keptUntil INTEGER;
        ALTER TABLE tenant ADD COLUMN isDeleting INTEGER NOT NULL DEFAULT 0;
        """

    private static let deletionCount = """
        -- Objects that were asked for, until they are gone and a listing has seen that; so that nobody has to read the keys.
        ALTER TABLE deletion ADD COLUMN count INTEGER NOT NULL DEFAULT 0;
        UPDATE deletion SET count = json_array_length(keys);
        CREATE INDEX deletionCount ON deletion
            (folder, requested, state, notBefore, isApproved, measured, count, id);
        """

    private static let receipts = """
        -- When the provider took note of a snapshot, and when that was written down: two times where it takes another's place.
        -- round: of the folder's listings, in which it was seen.
        CREATE TABLE receipt (
            folder TEXT NOT NULL REFERENCES folder, snapshot TEXT NOT NULL, received INTEGER NOT NULL,
            noted INTEGER NOT NULL, round INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (folder, snapshot)
        ) WITHOUT ROWID, STRICT;
        """

    private static let webhookHost = """
        -- The address is among the secrets. unsealed: as an earlier version kept it, until the database is opened with its key.
        CREATE TABLE sealedWebhook (
            id TEXT PRIMARY KEY, host TEXT NOT NULL, unsealed TEXT, created INTEGER NOT NULL, lastSuccess INTEGER, failure TEXT
        ) STRICT;
        INSERT INTO sealedWebhook SELECT id, '', url, created, lastSuccess, failure FROM webhook;
        DROP TABLE webhook;
        ALTER TABLE sealedWebhook RENAME TO webhook;
        """
}
