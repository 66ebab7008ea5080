-- $1 the first name, $2 what follows the last one, $3 how many. The index has the first 100 bytes of each name.
SELECT name FROM loginradius_session
    WHERE record IS NOT NULL AND name >= $1 AND name < $2
        AND substring(name FOR 100) BETWEEN substring($1 FOR 100) AND substring($2 FOR 100)
    ORDER BY substring(name FOR 100), name LIMIT $3;
