-- $1 key, $2 name, $3 lease, $4 its length in ms, $5 the longest wait for the row, $6 the leases of earlier attempts of
-- the same call, whose outcome is unknown. Each attempt has another: with the same, one that comes after the unlock would
-- bring the lease back that late saves name. One row: the lock is held. None: it
-- has another holder. A commit that is lost with the server loses the lock, and the next save says so: it is not flushed.
-- The first condition spares those that wait the lock on the row; the second is decided on the newest row.
WITH settings AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $5, true))
INSERT INTO loginradius_session AS s (key, name, lease, lease_length, leased_until)
    SELECT $1, $2, $3, $4 * interval '1 ms', clock_timestamp() + $4 * interval '1 ms' FROM settings
    WHERE NOT EXISTS (SELECT FROM loginradius_session s WHERE s.key = $1 AND s.lease <> ALL ($6) AND NOT /* lapsed */)
ON CONFLICT (key) DO UPDATE
    SET lease = $3, lease_length = $4 * interval '1 ms', leased_until = clock_timestamp() + $4 * interval '1 ms'
    WHERE s.lease = ANY ($6) OR /* lapsed */
RETURNING s.record, s.generation;
