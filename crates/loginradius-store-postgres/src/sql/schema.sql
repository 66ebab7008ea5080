CREATE TABLE loginradius_session (
    key          bytea PRIMARY KEY,             -- the SHA-256 of the name: an index has no room for a long name
    name         bytea NOT NULL,
    record       bytea,                         -- NULL: no session. Its tokens are not encrypted
    generation   bigint,                        -- without a record: a mark of what the last holder cleared
    saved_at     timestamptz,
    damaged      bytea[] NOT NULL DEFAULT '{}', -- copies of damaged records that were replaced
    lease        bigint NOT NULL,               -- the fencing token: 63 random bits of the holder; 0: no holder
    lease_length interval NOT NULL,
    leased_until timestamptz NOT NULL,          -- '-infinity': it was released
    found_lapsed timestamptz,                   -- when another holder found it lapsed; NULL once it is renewed
    CHECK (record IS NULL OR generation IS NOT NULL)
) WITH (fillfactor = 50);
CREATE INDEX loginradius_session_name ON loginradius_session (substring(name FOR 100));
COMMENT ON TABLE loginradius_session IS 'LoginRadius sessions, version 1';
