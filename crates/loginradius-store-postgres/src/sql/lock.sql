-- $1 key, $2 name, $3 lease, $4 its length in ms, $5 the longest wait for the row, $6 the leases of earlier attempts whose
-- outcome is unknown. Each attempt takes another lease: with the same one, an attempt that arrives after the unlock would
-- bring the lease back that late saves name. One row: the lock was taken. None: it has another holder. The commit is not
-- flushed: if a crash of the server loses it, the next save is a conflict. By the first condition, callers that wait for
-- the lock do not write the row; the second decides on its newest version.
WITH settings AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $5, true))
INSERT INTO loginradius_session AS s (key, name, lease, lease_length, leased_until)
    SELECT $1, $2, $3, $4 * interval '1 ms', clock_timestamp() + $4 * interval '1 ms' FROM settings
    WHERE NOT EXISTS (SELECT FROM loginradius_session s WHERE s.key = $1 AND s.lease <> ALL ($6) AND NOT /* lapsed */)
ON CONFLICT (key) DO UPDATE
    SET lease = $3, lease_length = $4 * interval '1 ms', leased_until = clock_timestamp() + $4 * interval '1 ms'
    WHERE s.lease = ANY ($6) OR /* lapsed */
RETURNING s.record, s.generation;
