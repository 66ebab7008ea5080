//! Whether a statement that failed may have been done, and what an operator has to do about it.

use std::error::Error as StdError;
use std::fmt::Write as _;

use loginradius_proto::Error;
use loginradius_store::SaveError;
use tokio_postgres::error::DbError;

/// Why an operation failed, and whether it may have been done.
#[derive(Debug)]
pub(crate) enum Fault {
    NotDone(Error),
    Unknown(Error),
}

impl Fault {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::NotDone(error) | Self::Unknown(error) => error,
        }
    }

    pub(crate) fn into_save_error(self) -> SaveError {
        match self {
            Self::NotDone(error) => SaveError::Failed(error),
            Self::Unknown(error) => SaveError::Unknown(error),
        }
    }
}

/// What a failed statement or connection says about its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The connection was lost. The statement may have been done; sent again on another connection, it finds out.
    Lost,
    /// It was not done, and may succeed at once if it is sent again: another transaction was in the way.
    Repeat,
    /// It was not done.
    Refused,
    /// It was not done, because the server only reads. Another connection may find the one that writes.
    ReadOnly,
    /// It may have been done.
    Unknown,
}

impl Verdict {
    /// Judges the error of a statement. Only codes that certainly precede a commit are refusals.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Self {
        match error.code().map(|code| code.code()) {
            None => Self::Lost,
            Some(code) => Self::of_code(code),
        }
    }

    fn of_code(code: &str) -> Self {
        match code {
            // A failed serialization, if the database's default isolation is stricter, or a deadlock.
            "40001" | "40P01" => Self::Repeat,
            "25006" => Self::ReadOnly,
            // A full disk, no memory, too many connections, a lock that another transaction holds for long.
            "53100" | "53200" | "53300" | "55P03" => Self::Refused,
            // The server is ending, has crashed, or is starting.
            "57P01" | "57P02" | "57P03" | "57P05" => Self::Lost,
            _ => match code.get(..2).unwrap_or_default() {
                "08" => Self::Lost,
                // Bad data, a broken constraint, a wrong password, wrong SQL, or a missing database, table or right.
                "0A" | "22" | "23" | "28" | "3D" | "3F" | "42" => Self::Refused,
                _ => Self::Unknown,
            },
        }
    }
}

/// What the connecting function returned: an error of the driver, or one of its own.
pub(crate) type ConnectError = Box<dyn StdError + Send + Sync>;

/// Returns whether connecting may succeed within a moment: the server is being started, or has no free connection.
pub(crate) fn connecting_may_pass(error: &ConnectError) -> bool {
    let Some(error) = of_driver(error) else { return false };
    match error.code().map(|code| code.code()) {
        Some(code) => code.starts_with("57P") || code.starts_with("08") || code == "53300",
        None => !is_of_tls(error) && !is_of_settings(error),
    }
}

/// Returns the driver's error, which may be the cause of one of the program's own.
fn of_driver(error: &ConnectError) -> Option<&tokio_postgres::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// The table, as messages call it.
#[derive(Debug, Clone)]
pub(crate) struct Place(pub(crate) String);

impl Place {
    pub(crate) fn not_connected(&self, error: ConnectError) -> Error {
        let failed = "could not connect to the database of the sessions";
        let Some(error) = of_driver(&error) else {
            let cause = one_line(&error.to_string());
            let advice = "check what the connecting function needs, or try again later";
            return Error::unavailable(format!("{failed}, {cause}: {advice}"), error);
        };
        if let Some(db) = error.as_db_error() {
            // Before there is a connection, no right on a table is asked for.
            if db.code().code() == "42501" {
                return Error::store_refused(format!("{failed}, {}: GRANT CONNECT on it to this user", cause(db)));
            }
            return self.db_error(failed, db);
        }
        let cause = chain(error);
        if is_of_tls(error) {
            let advice = if cause.contains("does not support TLS") {
                "turn TLS on at the server, or allow a connection without it by sslmode"
            } else if cause.contains("no TLS implementation") {
                "have the connecting function use TLS in place of `NoTls`"
            } else {
                "have the connecting function trust the certificate's issuer, and connect by the name that it was \
                 issued for"
            };
            return Error::store_refused(format!("{failed}, {cause}: {advice}"));
        }
        if is_of_settings(error) {
            return Error::store_refused(format!(
                "{failed}, {cause}: correct the user, the password or the connection's settings"
            ));
        }
        let advice = if cause.contains("lookup") {
            "check the host's name (in a URL, write `@` of a password as `%40`), or try again later"
        } else {
            "check that PostgreSQL runs at this address, and the network, or try again later"
        };
        Error::unavailable(format!("{failed}, {cause}: {advice}"), "no connection")
    }

    pub(crate) fn statement_failed(&self, error: &tokio_postgres::Error) -> Error {
        match error.as_db_error() {
            Some(db) => self.db_error("the database of the sessions failed", db),
            None => Error::unavailable(
                format!("the connection to the database of the sessions was lost, {}: try again later", chain(error)),
                "no outcome",
            ),
        }
    }

    pub(crate) fn took_too_long(&self, what: &str) -> Error {
        Error::unavailable(
            format!(
                "the database of the sessions took too long, {what}: check its load and the network, or try again later"
            ),
            "timeout",
        )
    }

    fn db_error(&self, failed: &str, error: &DbError) -> Error {
        let code = error.code().code();
        let table = &self.0;
        let cause = cause(error);
        let refused = |advice: &str| Error::store_refused(format!("{failed}, {cause}: {advice}"));
        match code {
            "28P01" => refused("correct the user or the password"),
            "28000" => refused("connect with TLS if the server requires it, or correct the user or pg_hba.conf"),
            "3D000" => refused("correct the name of the database, or create it"),
            "3F000" => refused(&format!("create the schema of the table {table}")),
            "42P01" => refused(&format!(
                "create the table {table}: open the store without `with_existing_table`, or run the SQL of \
                 `PostgresSettings::schema`"
            )),
            "42501" => refused(&format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON {table} to this user, and USAGE on its schema; a user that \
                 creates the table needs CREATE on its schema"
            )),
            "25006" => refused(
                "connect to the primary server, as with target_session_attrs=read-write, and check that \
                 default_transaction_read_only is off",
            ),
            // No later attempt can help.
            _ if ["0A", "22", "23", "42"].iter().any(|class| code.starts_with(class)) => {
                refused(&format!("check that {table} is as `PostgresSettings::schema` makes it"))
            }
            "53300" => unavailable(
                failed,
                &cause,
                "raise max_connections or the user's CONNECTION LIMIT, or use a pooler such as PgBouncer",
            ),
            "53100" => unavailable(failed, &cause, "free space on the server's disk"),
            "55P03" => unavailable(failed, &cause, "end the transaction that holds a lock on the session's row"),
            "57P03" => unavailable(failed, &cause, "wait until the server has started"),
            _ => unavailable(failed, &cause, "try again later"),
        }
    }

    pub(crate) fn no_table(&self) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "the table {table} does not exist: open the store without `with_existing_table`, or run the SQL of \
             `PostgresSettings::schema`"
        ))
    }

    pub(crate) fn other_table(&self) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "the table {table} is not one of sessions, or has lost its comment: choose another name with \
             `with_table`, or set the comment as `PostgresSettings::schema` does"
        ))
    }

    pub(crate) fn newer_table(&self, version: &str) -> Error {
        let table = &self.0;
        let version = one_line(version);
        Error::store_refused(format!(
            "a newer program made the table {table}, in version {version}: update this program"
        ))
    }

    pub(crate) fn not_permanent(&self) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "the table {table} is UNLOGGED or temporary, so that a crash of the server would empty it: run ALTER TABLE \
             {table} SET LOGGED"
        ))
    }

    pub(crate) fn read_only(&self) -> Error {
        Error::store_refused(
            "the database of the sessions is a read-only replica: connect to the primary server, as with \
             target_session_attrs=read-write",
        )
    }

    pub(crate) fn no_rights(&self) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "the database's user may not read and write the table {table}: GRANT SELECT, INSERT, UPDATE, DELETE ON \
             {table} to this user"
        ))
    }

    pub(crate) fn no_key(&self) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "the table {table} has no primary key, so that a session could have two rows: make it as \
             `PostgresSettings::schema` does, and copy the rows into it"
        ))
    }

    pub(crate) fn row_security(&self) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "row-level security hides rows of the table {table} from the database's user: give it BYPASSRLS, or run \
             ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
        ))
    }

    pub(crate) fn too_long(&self) -> Error {
        Error::store_refused("the session's record is longer than 16 MiB, which is no session's: store shorter tokens")
    }

    pub(crate) fn unreadable(&self, error: &tokio_postgres::Error) -> Error {
        let table = &self.0;
        Error::store_refused(format!(
            "a row of {table} could not be read, {}: check that it is as `PostgresSettings::schema` makes it",
            chain(error)
        ))
    }
}

/// The error of an operation whose thread has ended, or panicked.
pub(crate) fn thread_ended() -> Fault {
    Fault::Unknown(Error::unavailable(
        "the thread of the store over PostgreSQL did not respond, because it lacks threads or files, or the connecting \
         function blocked it or panicked: correct that function, or allow this program more threads and files",
        "no outcome",
    ))
}

fn unavailable(failed: &str, cause: &str, advice: &str) -> Error {
    Error::unavailable(format!("{failed}, {cause}: {advice}"), "refused by the server")
}

/// The driver's error has no method that says this.
fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string().contains("TLS")
}

fn is_of_settings(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.contains("configuration") || text.contains("authentication") || text.contains("connection string")
}

/// Returns what the server says. Details and hints stay away: they may quote a row.
fn cause(error: &DbError) -> String {
    format!("{} ({})", one_line(error.message()), error.code().code().escape_default().take(5).collect::<String>())
}

/// Returns an error and its causes. Those of the server are left out, so that no row and no password is shown.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    if let Some(first) = cause.filter(|_| text == "error connecting to server") {
        (text, cause) = (first.to_string(), first.source());
    }
    while let Some(error) = cause.filter(|cause| !cause.is::<DbError>()) {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    one_line(&text)
}

/// Makes one line of what a server or a library says, and not a long one.
fn one_line(text: &str) -> String {
    // Those that break lines, or change the direction of what follows.
    let is_odd = |letter| matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|letter| if letter.is_control() || is_odd(letter) { ' ' } else { letter }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_certainly_precedes_a_commit_is_a_refusal() {
        let rows = [
            (Verdict::Repeat, &["40001", "40P01"][..]),
            (Verdict::ReadOnly, &["25006"]),
            (Verdict::Refused, &["22001", "23505", "42P01", "42501", "53100", "53200", "53300", "55P03", "28P01"]),
            (Verdict::Lost, &["57P01", "57P02", "57P03", "57P05", "08006", "08P01"]),
            // Cancelled, out of resources of another kind, an internal error, and what no version of today sends.
            (Verdict::Unknown, &["57014", "53000", "58030", "XX000", "XX001", "40003", "99999", "", "5"]),
        ];
        for (verdict, codes) in rows {
            for code in codes {
                assert_eq!(Verdict::of_code(code), verdict, "{code}");
            }
        }
        assert_eq!(Verdict::of_code("a€"), Verdict::Unknown);
    }

    #[test]
    fn what_a_server_says_is_one_line() {
        assert_eq!(one_line("a\nb\u{2028}c\u{202e}d"), "a b c d");
        assert_eq!(one_line(&"x".repeat(1_000_000)).len(), 300);
    }
}
