-- $1 prefix, $2 what follows all that begins with it, $3 the last name of the page before, $4 how many
SELECT name FROM loginradius_session
    WHERE record IS NOT NULL AND substring(name FOR length($1)) = $1
        AND substring(name FOR 100) >= substring($1 FOR 100)
        AND ($2::bytea IS NULL OR substring(name FOR 100) <= substring($2 FOR 100))
        AND ($3::bytea IS NULL OR (substring(name FOR 100) >= substring($3 FOR 100) AND name > $3))
    ORDER BY substring(name FOR 100), name LIMIT $4;
