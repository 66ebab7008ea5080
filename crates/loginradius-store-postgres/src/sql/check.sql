-- $1 the table
SELECT obj_description(c.oid, 'pg_class'), c.relpersistence = 'p', pg_is_in_recovery(),
    has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
FROM pg_class c WHERE c.oid = to_regclass($1);
