use std::fmt;
use std::path::PathBuf;

use loginradius_blocking::Error;
use loginradius_blocking::store::{FileStore, SessionStore};
use loginradius_store_postgres::PostgresSettings;
use loginradius_store_postgres::tokio_postgres::{Config, NoTls};

/// Where a program keeps its sessions: a folder, or a database of PostgreSQL.
#[derive(Clone)]
#[non_exhaustive]
pub enum StorePlace {
    /// A folder, for one machine.
    Folder(PathBuf),
    /// `postgres://user:password@host/database`, for many machines.
    Postgres(String),
}

impl From<String> for StorePlace {
    fn from(place: String) -> Self {
        let is_database = ["postgres://", "postgresql://"].iter().any(|scheme| place.starts_with(scheme));
        if is_database { Self::Postgres(place) } else { Self::Folder(place.into()) }
    }
}

impl StorePlace {
    /// Opens a store there, for blocking code.
    ///
    /// # Errors
    ///
    /// Those of [`FileStore::open`] and [`PostgresSettings::open`], and if the URL cannot be used.
    pub fn open(&self) -> Result<Box<dyn SessionStore>, Error> {
        Ok(match self {
            Self::Folder(folder) => Box::new(FileStore::open(folder)?),
            Self::Postgres(url) => {
                let config = config(url)?;
                Box::new(PostgresSettings::default().open(async move || config.connect(NoTls).await)?)
            }
        })
    }

    /// Opens a store there, for async code.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_async(&self) -> Result<Box<dyn loginradius_async::store::AsyncSessionStore>, Error> {
        Ok(match self {
            Self::Folder(folder) => Box::new(FileStore::open(folder)?),
            Self::Postgres(url) => {
                let config = config(url)?;
                Box::new(PostgresSettings::default().open_async(async move || config.connect(NoTls).await).await?)
            }
        })
    }

    /// Returns the place as it was given, for another process.
    #[must_use]
    pub fn as_option(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Postgres(url) => url.into(),
        }
    }
}

fn config(url: &str) -> Result<Config, Error> {
    // The driver's error may quote the URL, with its password.
    url.parse().map_err(|_| {
        Error::configuration(
            "the URL of the database cannot be read: write it as postgres://user:password@host:5432/database",
        )
    })
}

/// By hand: the URL has a password.
impl fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            Self::Postgres(_) => f.write_str("Postgres"),
        }
    }
}
