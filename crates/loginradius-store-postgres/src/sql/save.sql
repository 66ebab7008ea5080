-- $1 key, $2 lease, $3 the expected generation, $4 record, $5 its generation, $6 whether a damaged one is replaced, $7
-- the longest wait for the row. A clear has NULL and false for $4 and $6, and leaves a mark of what was cleared in $5.
-- From then on its holder expects that mark where there is no record, so that a save which was sent before the clear
-- and arrives late is a conflict. One row: it is done. None: a conflict. Lease, generation and record identify a save,
-- so that it recognizes what it has done when it is sent again.
WITH "Settings" AS MATERIALIZED (
    SELECT CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
            THEN set_config('synchronous_commit', 'on', true) END,
        set_config('lock_timeout', $7, true))
UPDATE loginradius_session s
    SET record = $4, generation = $5, saved_at = clock_timestamp(), leased_until = clock_timestamp() + s.lease_length,
        found_lapsed = NULL,
        damaged = CASE WHEN $6 AND s.record IS DISTINCT FROM $4 THEN s.damaged || s.record ELSE s.damaged END
    FROM "Settings"
    WHERE s.key = $1 AND s.lease = $2
        AND (s.generation IS NOT DISTINCT FROM $3
            OR (s.generation IS NOT DISTINCT FROM $5 AND s.record IS NOT DISTINCT FROM $4))
RETURNING 1;
