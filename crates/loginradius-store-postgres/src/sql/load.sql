-- $1 key
SELECT record, generation FROM loginradius_session WHERE key = $1 AND record IS NOT NULL;
