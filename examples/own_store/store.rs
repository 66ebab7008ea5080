//! Stores sessions in SQLite, for the programs of one machine. It cannot list sessions (`names`).

use loginradius_blocking::Error;
use loginradius_blocking::store::{Expected, LoadError, SaveError, SessionLock, SessionStore, StoredRecord};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{collections::HashMap, error::Error as StdError, fs::OpenOptions, path::Path, thread};

const SCHEMA: &str = include_str!("schema.sql");
// A lock is a *lease*: the row says who holds it, and until when.
const LOCK: &str = "
    INSERT INTO session (name, lease, leased_until) VALUES (?1, ?2, unixepoch('subsec') + ?3)
    ON CONFLICT (name) DO UPDATE SET lease = excluded.lease, leased_until = excluded.leased_until
    WHERE session.leased_until < unixepoch('subsec')";
const LOAD: &str = "SELECT generation, record FROM session WHERE name = ?1 AND record IS NOT NULL";
const SAVE: &str = "
    UPDATE session SET record = ?4, generation = ?5,
        damaged = CASE WHEN ?6 THEN json_insert(damaged, '$[#]', hex(record)) ELSE damaged END
    WHERE name = ?1 AND lease = ?2 AND generation IS ?3";
const RENEW: &str = "UPDATE session SET leased_until = unixepoch('subsec') + ?3 WHERE name = ?1 AND lease = ?2";
const UNLOCK: &str = "UPDATE session SET lease = 0, leased_until = 0 WHERE name = ?1 AND lease = ?2";

pub(crate) struct SqliteStore(pub(crate) Arc<Database>);

pub(crate) struct Database {
    pub(crate) connection: Mutex<Connection>,
    length: Duration,
    /// When the last statement that took or renewed each lease was sent, by the clock that SQLite uses too.
    held: Mutex<HashMap<Lease, SystemTime>>,
}

/// The session's name, and the fencing token.
type Lease = (Vec<u8>, i64);

impl SqliteStore {
    /// Opens the file, and creates it if it is missing. After a crash of a holder, others wait for a lease's length.
    pub(crate) fn open(file: &Path, length: Duration) -> Result<Self, Box<dyn StdError>> {
        #[cfg(unix)] // SQLite would let others read the tokens.
        std::os::unix::fs::OpenOptionsExt::mode(OpenOptions::new().append(true).create(true), 0o600).open(file)?;
        let connection = Connection::open(file)?;
        connection.busy_timeout(length / 2)?;
        connection.execute_batch(SCHEMA)?;
        let store = Self(Arc::new(Database { connection: Mutex::new(connection), length, held: Mutex::default() }));
        let weak = Arc::downgrade(&store.0);
        thread::spawn(move || {
            while weak.upgrade().map(|database| database.renew()).is_some() {
                thread::sleep(length / 4);
            }
        });
        Ok(store)
    }
}

impl Database {
    fn execute(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<bool> {
        Ok(locked(&self.connection).prepare_cached(sql)?.execute(parameters)? == 1)
    }

    fn load(&self, name: &[u8]) -> Result<Option<StoredRecord>, Error> {
        let connection = locked(&self.connection);
        let row = connection.query_row(LOAD, [name], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)));
        Ok(row.optional().map_err(failed)?.map(|(generation, bytes)| StoredRecord::new(generation, bytes)))
    }

    fn renew(&self) {
        let leases: Vec<Lease> = locked(&self.held).keys().cloned().collect();
        for lease in leases {
            let sent = SystemTime::now();
            let renewed = self.execute(RENEW, (&lease.0, lease.1, self.length.as_secs_f64()));
            if let (Ok(is_own), Some(extended)) = (renewed, locked(&self.held).get_mut(&lease)) {
                *extended = if is_own { sent } else { SystemTime::UNIX_EPOCH };
            }
        }
    }
}

impl SessionStore for SqliteStore {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let random = getrandom::u64().map_err(|error| Error::unavailable("no random bytes: try again later", error))?;
        let (lease, sent) = ((Vec::from(name), (random >> 1).cast_signed()), SystemTime::now());
        if !self.0.execute(LOCK, (&lease.0, lease.1, self.0.length.as_secs_f64())).map_err(failed)? {
            return Ok(None);
        }
        locked(&self.0.held).insert(lease.clone(), sent);
        Ok(Some(Box::new(Lock { database: self.0.clone(), lease })))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.0.load(name.as_bytes()).ok().flatten()
    }
}

struct Lock {
    database: Arc<Database>,
    lease: Lease,
}

impl Lock {
    fn swap(&self, expected: Expected, new: Option<&StoredRecord>) -> Result<(), SaveError> {
        let (bytes, generation) = (new.map(StoredRecord::as_bytes), new.map(StoredRecord::generation));
        let copies = matches!(expected, Expected::Damaged(_)) && new.is_some();
        let parameters = (&self.lease.0, self.lease.1, expected.generation(), bytes, generation, copies);
        match self.database.execute(SAVE, parameters) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SaveError::Conflict),
            // After these two errors it is certainly not saved; after any other it may be.
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull) => Err(SaveError::Failed(failed(error))),
                _ => Err(SaveError::Unknown(failed(error))),
            },
        }
    }
}

impl SessionLock for Lock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        Ok(self.database.load(&self.lease.0)?)
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.swap(expected, Some(record))
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.swap(expected, None)
    }

    fn is_held(&self) -> bool {
        let extended = locked(&self.database.held).get(&self.lease).and_then(|extended| extended.elapsed().ok());
        extended.is_some_and(|since| since < self.database.length / 2)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        locked(&self.database.held).remove(&self.lease);
        // If it fails, the lease lapses by itself.
        let _ = self.database.execute(UNLOCK, (&self.lease.0, self.lease.1));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: rusqlite::Error) -> Error {
    Error::unavailable(format!("the database of the sessions failed, {error}: try again later"), error)
}
