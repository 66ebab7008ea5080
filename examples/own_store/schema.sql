-- Each commit is flushed to the disk.
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;

CREATE TABLE IF NOT EXISTS session (
    name BLOB PRIMARY KEY,              -- bytes: every text is a name, and `a` is not `A`
    record BLOB,                        -- NULL: no session. Its tokens are not encrypted
    generation INTEGER,
    damaged TEXT NOT NULL DEFAULT '[]', -- copies of damaged records, as hexadecimal digits
    lease INTEGER NOT NULL,             -- the fencing token: 63 random bits of the holder; 0: no holder
    leased_until REAL NOT NULL
);

-- Without this, every name that was ever tried would stay in the table.
CREATE TRIGGER IF NOT EXISTS unlocked AFTER UPDATE OF lease ON session
WHEN NEW.lease = 0 AND NEW.record IS NULL AND NEW.damaged = '[]'
BEGIN
    DELETE FROM session WHERE name = NEW.name;
END;
