-- $1 key, $2 name, $3 lease, $4 its length in ms, $5 the longest wait for the row, $6 the leases of earlier attempts
-- whose outcome is unknown. Each attempt takes another lease: with the same one, an attempt that arrives after the
-- unlock would bring the lease back that late saves name. One row with `true`: the lock was taken. Otherwise it has
-- another holder. The first caller that finds a lease lapsed notes when. A statement that waited for the table until
-- its caller had given it up does nothing. The commit is not flushed: if a crash of the server loses it, the next save
-- is a conflict. By the first condition, callers that wait for the lock do not write the row; the second decides on its
-- newest version.
WITH "Settings" AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $5, true))
INSERT INTO loginradius_session AS s (key, name, lease, lease_length, leased_until)
    SELECT $1, $2, $3, $4 * interval '1 ms', clock_timestamp() + $4 * interval '1 ms' FROM "Settings"
    WHERE clock_timestamp() < now() + $5::interval AND NOT EXISTS (
        SELECT FROM loginradius_session s
        WHERE s.key = $1 AND s.lease <> ALL ($6) AND NOT /* free */ AND NOT /* newly lapsed */)
ON CONFLICT (key) DO UPDATE SET (lease, lease_length, leased_until, found_lapsed, generation) = (
        SELECT CASE WHEN takes THEN $3 ELSE s.lease END,
            CASE WHEN takes THEN $4 * interval '1 ms' ELSE s.lease_length END,
            CASE WHEN takes THEN clock_timestamp() + $4 * interval '1 ms' ELSE s.leased_until END,
            CASE WHEN NOT takes THEN clock_timestamp() END,
            CASE WHEN NOT takes OR s.record IS NOT NULL THEN s.generation END
        FROM (SELECT s.lease = ANY ($6) OR /* free */) AS decision (takes))
    WHERE s.lease = ANY ($6) OR /* free */ OR /* newly lapsed */
RETURNING s.lease = $3, s.record, s.generation;
