use std::time::Duration;

use loginradius_proto::Error;

use crate::sql;

/// How a [`PostgresStore`](crate::PostgresStore) uses its database.
///
/// ```no_run
/// use std::time::Duration;
/// use loginradius_store_postgres::{PostgresSettings, tokio_postgres::{Config, NoTls}};
///
/// let config: Config = "postgres://app@database.internal/app".parse()?;
/// let store = PostgresSettings::default()
///     .with_table("accounts.session")
///     .with_lease(Duration::from_secs(20))
///     .open(async move || config.connect(NoTls).await)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    pub(crate) table: String,
    pub(crate) lease: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) creates_table: bool,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            table: "loginradius_session".to_owned(),
            lease: Duration::from_secs(5),
            timeout: Duration::from_millis(2500),
            max_connections: 4,
            creates_table: true,
        }
    }
}

impl PostgresSettings {
    /// Sets the table, by default `loginradius_session`: a name, or a schema and a name with a dot between them.
    ///
    /// Each of the two begins with a letter (a-z) or `_`, goes on with letters, digits and `_`, and has at most 48
    /// characters. Opening fails with another name.
    #[must_use]
    pub fn with_table(self, table: impl Into<String>) -> Self {
        Self { table: table.into(), ..self }
    }

    /// Sets the length of a lease, by default 5 s. A lease is renewed every third of its length.
    ///
    /// After a holder's crash, others wait for up to 1.4 times that long. A holder that cannot reach the database for
    /// that long loses its lock. Programs that share a table may have different lengths.
    ///
    /// It has to be at least twice the [timeout](Self::with_timeout), and at most an hour; otherwise opening fails.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Sets how long one operation may take, by default 2.5 s. This includes waiting for a connection, connecting, and
    /// sending the statement again after a connection was lost.
    ///
    /// It has to be at least 10 ms, and at most half of the [lease](Self::with_lease); otherwise opening fails.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the maximum number of connections: 4 by default, 1 or more. One more renews the leases.
    ///
    /// Each runs one statement at a time. None is in use while a request to LoginRadius is out. The next free one goes
    /// to those who hold a lock first, because they may have new tokens to save.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// Makes opening check the table, and never create it: for a database user that may not create tables. To create it
    /// yourself, run the SQL that [`schema`](Self::schema) returns.
    #[must_use]
    pub fn with_existing_table(self) -> Self {
        Self { creates_table: false, ..self }
    }

    /// Returns the SQL that creates the table and its index, for migrations of your own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if the name of the table cannot be
    /// used.
    ///
    /// ```
    /// use loginradius_store_postgres::PostgresSettings;
    ///
    /// assert!(PostgresSettings::default().schema()?.starts_with("CREATE TABLE "));
    /// # Ok::<(), loginradius_proto::Error>(())
    /// ```
    pub fn schema(&self) -> Result<String, Error> {
        Ok(sql::schema(&sql::Table::new(&self.table)?))
    }

    /// Checks what can be checked without a database.
    pub(crate) fn check(&self) -> Result<sql::Table, Error> {
        const MAX_LEASE: Duration = Duration::from_secs(3600);
        if self.timeout < Duration::from_millis(10) {
            return Err(Error::configuration(
                "the timeout of the store over PostgreSQL is shorter than 10 ms: no statement would succeed, so set a \
                 longer one",
            ));
        }
        if self.lease < self.timeout.saturating_mul(2) || self.lease > MAX_LEASE {
            return Err(Error::configuration(format!(
                "the lease of the store over PostgreSQL is {:?}, and its timeout {:?}: set a lease of at least twice \
                 the timeout, and of an hour at most",
                self.lease, self.timeout
            )));
        }
        if self.max_connections == 0 {
            return Err(Error::configuration(
                "the store over PostgreSQL may not have any connections: set `with_max_connections` to 1 or more",
            ));
        }
        sql::Table::new(&self.table)
    }
}
