-- $1 key, $2 the leases of this lock and of attempts to take it, $3 the longest wait for the row. The lease is
-- replaced, so that a save which arrives late is a conflict. Without the DELETE, every name that was ever locked would
-- stay in the table.
WITH "Settings" AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', $3, true)),
"Unused" AS (DELETE FROM loginradius_session s USING "Settings"
    WHERE s.key = $1 AND s.lease = ANY ($2) AND s.record IS NULL AND s.damaged = '{}')
UPDATE loginradius_session s SET lease = 0, leased_until = '-infinity'
    FROM "Settings"
    WHERE s.key = $1 AND s.lease = ANY ($2) AND NOT (s.record IS NULL AND s.damaged = '{}');
