-- $1 keys, $2 leases, $3 the longest wait for a row. A locked row is skipped: a save of its holder renews it.
WITH settings AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $3, true)),
held AS MATERIALIZED (
    SELECT s.key, s.lease FROM settings, unnest($1::bytea[], $2::bigint[]) AS h (key, lease)
    JOIN loginradius_session s ON s.key = h.key AND s.lease = h.lease
    ORDER BY s.key FOR UPDATE OF s SKIP LOCKED)
UPDATE loginradius_session s SET leased_until = clock_timestamp() + s.lease_length
    FROM held WHERE s.key = held.key AND s.lease = held.lease
RETURNING s.lease;
