-- $1 the table
SELECT obj_description(c.oid, 'pg_class'), c.relpersistence = 'p', pg_is_in_recovery(),
    has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'),
    EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'key'),
    row_security_active(c.oid)
FROM pg_class c WHERE c.oid = to_regclass($1);
