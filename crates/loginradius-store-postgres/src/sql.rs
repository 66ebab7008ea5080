//! The statements. Each commits by itself, its rows are its outcome, and when it is sent again, it recognizes what it
//! has already done.

use loginradius_proto::Error;

/// The name of the table, which is safe in SQL.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    schema: Option<String>,
    name: String,
}

impl Table {
    /// PostgreSQL cuts names at 63 bytes, and the index's name is longer than the table's.
    const MAX_LENGTH: usize = 48;

    pub(crate) fn new(table: &str) -> Result<Self, Error> {
        let (schema, name) = match table.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, table),
        };
        let is_name = |text: &str| {
            let begins = text.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_');
            let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            begins && text.bytes().all(is_allowed) && text.len() <= Self::MAX_LENGTH
        };
        if !is_name(name) || !schema.is_none_or(is_name) {
            return Err(Error::configuration(format!(
                "the table cannot be called {table:?}: use a letter (a-z) or `_`, then letters, digits and `_`, {} \
                 characters at most; a schema of such a name and a dot may come before it",
                Self::MAX_LENGTH
            )));
        }
        Ok(Self { schema: schema.map(str::to_owned), name: name.to_owned() })
    }

    pub(crate) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("\"{schema}\".\"{}\"", self.name),
            None => format!("\"{}\"", self.name),
        }
    }

    /// Puts this table's name into SQL that is written for the default one.
    fn named_in(&self, sql: &str) -> String {
        // The index's name begins like the table's.
        let parts =
            sql.split("loginradius_session_name").map(|part| part.replace("loginradius_session", &self.quoted()));
        parts.collect::<Vec<_>>().join(&format!("\"{}_name\"", self.name))
    }
}

/// Removes the comments, which are for readers: each statement is sent as text.
fn bare(sql: &str) -> String {
    sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

/// The version of the table, in its comment.
pub(crate) const COMMENT: &str = "LoginRadius sessions, version ";
pub(crate) const VERSION: &str = "1";

/// Returns what creates the table. PostgreSQL runs all of it as one transaction, because it is sent as one text.
pub(crate) fn schema(table: &Table) -> String {
    table.named_in(include_str!("sql/schema.sql"))
}

/// What is run, for one table. Names of its own are in capitals, which no table's are.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) check: &'static str,
    pub(crate) lock: String,
    pub(crate) load: String,
    pub(crate) save: String,
    pub(crate) unlock: String,
    pub(crate) renew: String,
    pub(crate) names: String,
}

impl Statements {
    pub(crate) fn new(table: &Table) -> Self {
        let statement = |sql: &str| table.named_in(&bare(sql));
        let lock = include_str!("sql/lock.sql")
            .replace("/* free */", &bare(include_str!("sql/free.sql")))
            .replace("/* newly lapsed */", &bare(include_str!("sql/newly_lapsed.sql")))
            .replace("/* lapsed */", &bare(include_str!("sql/lapsed.sql")));
        Self {
            check: include_str!("sql/check.sql"),
            lock: statement(&lock),
            load: statement(include_str!("sql/load.sql")),
            save: statement(include_str!("sql/save.sql")),
            unlock: statement(include_str!("sql/unlock.sql")),
            renew: statement(include_str!("sql/renew.sql")),
            names: statement(include_str!("sql/names.sql")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_are_identifiers_and_nothing_else() {
        for good in ["session", "_", "a1", "accounts.session", &"a".repeat(48)] {
            assert!(Table::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(49);
        for bad in ["", ".", "a.", ".a", "a.b.c", "1a", "A", "a b", "a\"", "a;b", "a-b", "é", "a\0", &long] {
            let error = Table::new(bad).unwrap_err();
            assert_eq!(error.kind(), loginradius_proto::ErrorKind::Configuration, "{bad}");
        }
        assert_eq!(Table::new("accounts.session").unwrap().quoted(), "\"accounts\".\"session\"");
    }

    #[test]
    fn statements_name_their_table() {
        let table = Table::new("accounts.session").unwrap();
        let Statements { check, lock, load, save, unlock, renew, names } = Statements::new(&table);
        for sql in [&schema(&table), &lock, &load, &save, &unlock, &renew, &names] {
            assert!(sql.contains("\"accounts\".\"session\""), "{sql}");
            assert!(!sql.contains("loginradius_session") && !sql.contains("/*"), "{sql}");
        }
        for sql in [&lock, &load, &save, &unlock, &renew, &names] {
            assert!(!sql.contains("--"), "{sql}");
        }
        assert!(schema(&table).contains("CREATE INDEX \"session_name\" ON \"accounts\".\"session\""));
        assert!(check.contains("to_regclass($1)"));

        let table = Table::new("loginradius_session").unwrap();
        let sql = schema(&table);
        assert!(sql.contains("CREATE INDEX \"loginradius_session_name\" ON \"loginradius_session\""), "{sql}");
    }
}
