-- $1 keys, $2 leases, $3 the longest wait for a row. A row with `true` is a lease that was renewed, one with `false` a
-- lease that is lost. A row that a save of the same holder has locked is in neither: that save renews it.
WITH "Settings" AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $3, true)),
"Held" AS MATERIALIZED (SELECT h.key, h.lease FROM "Settings", unnest($1::bytea[], $2::bigint[]) AS h (key, lease)),
"Free" AS MATERIALIZED (
    SELECT s.key, s.lease FROM "Held" h JOIN loginradius_session s ON s.key = h.key AND s.lease = h.lease
    ORDER BY s.key FOR UPDATE OF s SKIP LOCKED),
"Renewed" AS (
    UPDATE loginradius_session s SET leased_until = clock_timestamp() + s.lease_length, found_lapsed = NULL
    FROM "Free" f WHERE s.key = f.key AND s.lease = f.lease
    RETURNING s.lease)
SELECT lease, true FROM "Renewed"
UNION ALL
SELECT h.lease, false FROM "Held" h
    WHERE NOT EXISTS (SELECT FROM loginradius_session s WHERE s.key = h.key AND s.lease = h.lease);
