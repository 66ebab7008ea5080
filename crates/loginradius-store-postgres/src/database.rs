//! The connections, and the statements that run on them. All of this lives on the store's thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loginradius_proto::Error;
use loginradius_store::{Expected, StoredRecord};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::failure::{ConnectError, Fault, Place, Verdict, connecting_may_pass};
use crate::lease::{self, Clocks, Lease};
use crate::settings::PostgresSettings;
use crate::sql::{self, COMMENT, Statements, Table, VERSION};

/// The table of a store, and what is done to it.
pub(crate) struct Database {
    table: Table,
    place: Place,
    settings: PostgresSettings,
    statements: Statements,
    connect: Connect,
    /// For all but the renewals.
    connections: Pool,
    /// Separate, because all of the others may be waiting.
    renewals: Pool,
    held: RefCell<HashMap<i64, Arc<Lease>>>,
    first_is_held: Notify,
}

pub(crate) type Connect = Box<dyn Fn() -> LocalFuture<Result<Connection, ConnectError>>>;
pub(crate) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A connection, and the task that reads and writes it.
pub(crate) struct Connection {
    client: Client,
    task: JoinHandle<()>,
}

impl Connection {
    /// Takes what `tokio_postgres` returns, and runs the driver on the store's thread.
    pub(crate) fn new(
        client: Client,
        driver: impl Future<Output = Result<(), tokio_postgres::Error>> + 'static,
    ) -> Self {
        // A statement that is waiting gets its error.
        let task = tokio::task::spawn_local(async { drop(driver.await) });
        Self { client, task }
    }

    /// Closes the socket, whatever is under way. The driver would wait on for a server that does not respond.
    fn abort(self) {
        self.task.abort();
    }

    async fn close(self) {
        drop(self.client);
        let _ = self.task.await;
    }
}

/// Connections that are idle, and how many more there may be.
struct Pool {
    /// How long an operation may take.
    time: Duration,
    permits: Semaphore,
    /// For those who hold no lock: they wait for this first, so that those who do, and may have new tokens to save, do
    /// not wait behind them.
    newcomers: Semaphore,
    idle: RefCell<Vec<Connection>>,
}

impl Pool {
    fn new(time: Duration, max_connections: usize) -> Self {
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS);
        let semaphore = || Semaphore::new(max_connections);
        Self { time, permits: semaphore(), newcomers: semaphore(), idle: RefCell::default() }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            if !connection.client.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put_back(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }
}

/// Who asks for an operation.
#[derive(Clone, Copy)]
pub(crate) enum Caller {
    /// One who holds a lock, which others wait for.
    Holder,
    Newcomer,
}

/// One of the attempts of an operation.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    pool: &'a Pool,
    /// That of the operation.
    deadline: Instant,
}

/// The rows of a statement, and when it was sent.
type Outcome = Result<(Vec<Row>, Clocks), Failed>;

/// An attempt that has failed.
struct Failed {
    error: Error,
    /// Whether it may have been done, or may still be.
    is_unknown: bool,
    may_repeat: bool,
    /// A connection that was idle may have been closed long ago: that says nothing about the server.
    repeats_at_once: bool,
}

impl Failed {
    fn before_it_was_sent(error: Error) -> Self {
        Self { error, is_unknown: false, may_repeat: false, repeats_at_once: false }
    }
}

type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// The wait before a statement is sent again.
const PAUSE: Duration = Duration::from_millis(50);
const NO_CONNECTION: &str = "no connection was made";
/// The most bytes of a record, as in files. A longer one would keep the thread from the renewals while it is encoded.
const MAX_RECORD: usize = 16 << 20;
/// How many names are returned at once.
const PAGE: i64 = 1000;

impl Database {
    pub(crate) fn new(settings: PostgresSettings, table: Table, connect: Connect) -> Self {
        Self {
            place: Place(table.quoted()),
            statements: Statements::new(&table),
            connections: Pool::new(settings.timeout, settings.max_connections),
            renewals: Pool::new(settings.timeout, 1),
            held: RefCell::default(),
            first_is_held: Notify::new(),
            table,
            settings,
            connect,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Returns the longest wait for another transaction's lock on a row. It is shorter than any wait for a response, so
    /// that no statement that was given up goes on waiting at the server.
    fn lock_timeout(&self) -> String {
        format!("{}ms", (self.settings.timeout / 5 * 2).as_millis())
    }

    // The table.

    /// Creates the table, or checks the one that is there.
    pub(crate) async fn open(&self) -> Result<(), Error> {
        let opened = timeout_at(self.deadline(), self.open_table()).await;
        opened.unwrap_or_else(|_| Err(self.place.took_too_long("its table was not checked")))
    }

    async fn open_table(&self) -> Result<(), Error> {
        // A server that is not there is not waited for: an operator wants to know.
        let connection = self.connect_once().await?;
        self.connections.put_back(connection);
        if self.check().await? {
            return Ok(());
        }
        if !self.settings.creates_table {
            return Err(self.place.no_table());
        }
        let created = self.create().await;
        match self.check().await {
            // Another program may have created it at the same time.
            Ok(true) => Ok(()),
            Ok(false) => Err(created.err().unwrap_or_else(|| self.place.no_table())),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the table exists, and fails if it cannot be used.
    async fn check(&self) -> Result<bool, Error> {
        let name = self.place.0.as_str();
        let checked = self.run(Caller::Newcomer, self.statements.check, &[(&name, Type::TEXT)]).await;
        let (rows, _) = checked.map_err(Fault::into_error)?;
        let Some(row) = rows.first() else { return Ok(false) };
        let read = || -> Result<_, tokio_postgres::Error> {
            let flags: Vec<bool> = (1..6).map(|column| row.try_get(column)).collect::<Result<_, _>>()?;
            Ok((row.try_get::<_, Option<&str>>(0)?, flags))
        };
        let (comment, flags) = read().map_err(|error| self.place.unreadable(&error))?;
        let [is_permanent, is_replica, has_rights, has_key, has_policies] = flags[..] else { return Ok(false) };
        match comment.and_then(|comment| comment.strip_prefix(COMMENT)) {
            None => Err(self.place.other_table()),
            Some(version) if version != VERSION => Err(self.place.newer_table(version)),
            Some(_) if is_replica => Err(self.place.read_only()),
            Some(_) if !is_permanent => Err(self.place.not_permanent()),
            Some(_) if !has_rights => Err(self.place.no_rights()),
            Some(_) if !has_key => Err(self.place.no_key()),
            Some(_) if has_policies => Err(self.place.row_security()),
            Some(_) => Ok(true),
        }
    }

    async fn connect_once(&self) -> Result<Connection, Error> {
        self.connect_until(self.deadline()).await.map_err(|failed| failed.error)
    }

    async fn create(&self) -> Result<(), Error> {
        let connection = match self.connections.take_idle() {
            Some(connection) => connection,
            None => self.connect_once().await?,
        };
        match timeout_at(self.deadline(), connection.client.batch_execute(&sql::schema(&self.table))).await {
            Ok(created) => {
                self.connections.put_back(connection);
                created.map_err(|error| self.place.statement_failed(&error))
            }
            Err(_) => {
                connection.abort();
                Err(self.place.took_too_long("creating the table"))
            }
        }
    }

    // The sessions.

    /// Takes the lock, unless another holder has it. Returns the lease, and the record that is stored.
    pub(crate) async fn try_lock(
        self: &Rc<Self>,
        name: &str,
    ) -> Result<Option<(Arc<Lease>, Option<StoredRecord>)>, Error> {
        let key = lease::key(name);
        // Of attempts that may have taken it, or may still do so.
        let mut earlier = Vec::new();
        let locked = self.repeat(&self.connections, Caller::Newcomer, async |attempt| {
            let lease = Lease::new(key, self.settings.lease).map_err(Failed::before_it_was_sent)?;
            let outcome = self.lock(&lease, name, &earlier, attempt).await;
            if outcome.as_ref().is_err_and(|failed| failed.is_unknown) {
                earlier.push(lease.token());
            }
            let (rows, sent) = outcome?;
            Ok((lease, rows, sent))
        });
        match locked.await {
            Ok((lease, rows, sent)) => match self.locked(&rows) {
                Ok(None) => Ok(None),
                Ok(Some(record)) => {
                    lease.extend(sent);
                    let lease = Arc::new(lease);
                    self.keep_renewing(&lease);
                    Ok(Some((lease, record)))
                }
                Err(error) => {
                    self.release_soon(key, vec![lease.token()]);
                    Err(error)
                }
            },
            Err(Fault::NotDone(error)) => Err(error),
            Err(Fault::Unknown(error)) => {
                // It may have been taken after all, and no holder would release it.
                self.release_soon(key, earlier);
                Err(error)
            }
        }
    }

    /// Reads whether the lock was taken, and then the record that is stored.
    fn locked(&self, rows: &[Row]) -> Result<Option<Option<StoredRecord>>, Error> {
        let Some(row) = rows.first() else { return Ok(None) };
        let is_taken = row.try_get(0).map_err(|error| self.place.unreadable(&error))?;
        if is_taken { self.record(row, 1).map(Some) } else { Ok(None) }
    }

    fn release_soon(self: &Rc<Self>, key: [u8; 32], leases: Vec<i64>) {
        let database = Rc::clone(self);
        tokio::task::spawn_local(async move { drop(database.run_unlock(&key, &leases).await) });
    }

    async fn lock(&self, lease: &Lease, name: &str, earlier: &[i64], attempt: Attempt<'_>) -> Outcome {
        let length = i64::try_from(self.settings.lease.as_millis()).unwrap_or(i64::MAX);
        let (key, name, lock_timeout) = (lease.key(), name.as_bytes(), self.lock_timeout());
        let parameters: Parameters<'_> = &[
            (&key, Type::BYTEA),
            (&name, Type::BYTEA),
            (&lease.token(), Type::INT8),
            (&length, Type::INT8),
            (&lock_timeout, Type::TEXT),
            (&earlier, Type::INT8_ARRAY),
        ];
        self.attempt(attempt, &self.statements.lock, parameters).await
    }

    pub(crate) async fn load(&self, caller: Caller, key: &[u8]) -> Result<Option<StoredRecord>, Error> {
        let (rows, _) =
            self.run(caller, &self.statements.load, &[(&key, Type::BYTEA)]).await.map_err(Fault::into_error)?;
        rows.first().map_or(Ok(None), |row| self.record(row, 0))
    }

    /// Reads a record, which is in that column, and its generation, which is in the next one.
    fn record(&self, row: &Row, column: usize) -> Result<Option<StoredRecord>, Error> {
        let read = || Ok((row.try_get::<_, Option<&[u8]>>(column)?, row.try_get::<_, Option<i64>>(column + 1)?));
        let (bytes, generation) = read().map_err(|error| self.place.unreadable(&error))?;
        let place = || format!("the table {}", self.place.0);
        Ok(bytes.map(|bytes| {
            let generation = generation.unwrap_or_default().cast_unsigned();
            StoredRecord::new(generation, bytes).located_at(place())
        }))
    }

    /// Saves the record, or clears the stored one. Returns `false` if something else is there than is expected, or if
    /// the lease was lost.
    pub(crate) async fn save(
        &self,
        lease: &Lease,
        record: Option<&StoredRecord>,
        expected: Expected,
    ) -> Result<bool, Fault> {
        if record.is_some_and(|record| record.as_bytes().len() > MAX_RECORD) {
            return Err(Fault::NotDone(self.place.too_long()));
        }
        let cleared = lease.cleared();
        let mark = expected.generation().map(|generation| -1 - generation.cast_signed()).or(cleared);
        let generation = record.map_or(mark, |record| Some(record.generation().cast_signed()));
        let expected_generation = expected.generation().map(u64::cast_signed).or(cleared);
        let replaces_damaged = matches!(expected, Expected::Damaged(_)) && record.is_some();
        let bytes = record.map(StoredRecord::as_bytes);
        let (key, lock_timeout) = (lease.key(), self.lock_timeout());
        let parameters: Parameters<'_> = &[
            (&key, Type::BYTEA),
            (&lease.token(), Type::INT8),
            (&expected_generation, Type::INT8),
            (&bytes, Type::BYTEA),
            (&generation, Type::INT8),
            (&replaces_damaged, Type::BOOL),
            (&lock_timeout, Type::TEXT),
        ];
        let outcome = self.run(Caller::Holder, &self.statements.save, parameters).await;
        let may_be_done = match &outcome {
            Ok((rows, _)) => !rows.is_empty(),
            Err(fault) => matches!(fault, Fault::Unknown(_)),
        };
        if may_be_done && record.is_none() {
            lease.set_cleared(mark);
        }
        let (_, sent) = outcome?;
        if may_be_done {
            lease.extend(sent);
        }
        Ok(may_be_done)
    }

    /// Releases the lock. If that fails, the lease lapses by itself.
    pub(crate) async fn unlock(&self, lease: &Lease) {
        self.held.borrow_mut().remove(&lease.token());
        let _ = self.run_unlock(lease.key(), &[lease.token()]).await;
    }

    async fn run_unlock(&self, key: &[u8], leases: &[i64]) -> Result<(), Fault> {
        let lock_timeout = self.lock_timeout();
        let parameters: Parameters<'_> =
            &[(&key, Type::BYTEA), (&leases, Type::INT8_ARRAY), (&lock_timeout, Type::TEXT)];
        self.run(Caller::Holder, &self.statements.unlock, parameters).await.map(drop)
    }

    pub(crate) async fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let (mut first, end) = range(prefix, after);
        loop {
            let parameters: Parameters<'_> = &[(&first, Type::BYTEA), (&end, Type::BYTEA), (&PAGE, Type::INT8)];
            let (rows, _) =
                self.run(Caller::Newcomer, &self.statements.names, parameters).await.map_err(Fault::into_error)?;
            let mut page = Vec::with_capacity(rows.len());
            for row in &rows {
                page.push(row.try_get::<_, &[u8]>(0).map_err(|error| self.place.unreadable(&error))?);
            }
            // A name that was written by hand may not be text.
            let names: Vec<_> = page.iter().filter_map(|name| str::from_utf8(name).ok()).map(str::to_owned).collect();
            match page.last() {
                Some(last) if names.is_empty() => first = following(last),
                _ => return Ok(names),
            }
        }
    }

    // Renewals.

    fn keep_renewing(&self, lease: &Arc<Lease>) {
        self.held.borrow_mut().insert(lease.token(), Arc::clone(lease));
        self.first_is_held.notify_one();
    }

    /// Renews all leases that are held, every third of their length, however long one renewal takes.
    pub(crate) async fn renew_forever(self: Rc<Self>) {
        let mut next = Instant::now();
        loop {
            if self.held.borrow().is_empty() {
                self.first_is_held.notified().await;
                next = Instant::now();
            }
            next = (next + self.settings.lease / 3).max(Instant::now());
            sleep_until(next).await;
            // In a task of its own: if the connecting function panics, the next renewal takes place nevertheless.
            let _ = tokio::task::spawn_local(Rc::clone(&self).renew()).await;
        }
    }

    async fn renew(self: Rc<Self>) {
        let leases: Vec<Arc<Lease>> = self.held.borrow().values().cloned().collect();
        if leases.is_empty() {
            return;
        }
        let keys: Vec<&[u8]> = leases.iter().map(|lease| lease.key()).collect();
        let tokens: Vec<i64> = leases.iter().map(|lease| lease.token()).collect();
        let lock_timeout = self.lock_timeout();
        let parameters: Parameters<'_> =
            &[(&keys, Type::BYTEA_ARRAY), (&tokens, Type::INT8_ARRAY), (&lock_timeout, Type::TEXT)];
        let renewed = self.repeat(&self.renewals, Caller::Holder, async |attempt| {
            self.attempt(attempt, &self.statements.renew, parameters).await
        });
        // What is not renewed now may be renewed the next time.
        let Ok((rows, sent)) = renewed.await else { return };
        let mut held = self.held.borrow_mut();
        for row in &rows {
            let (Ok(token), Ok(is_renewed)) = (row.try_get(0), row.try_get(1)) else { continue };
            match held.get(&token) {
                Some(lease) if is_renewed => lease.extend(sent),
                _ => drop(held.remove(&token)),
            }
        }
    }

    // Statements.

    /// Runs a statement, and sends it again if the connection was lost: it recognizes what it has done. Returns its
    /// rows, and when it was sent.
    async fn run(
        &self,
        caller: Caller,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<(Vec<Row>, Clocks), Fault> {
        self.repeat(&self.connections, caller, async |attempt| self.attempt(attempt, statement, parameters).await).await
    }

    /// Makes attempts until one has an outcome, or there is no time left.
    async fn repeat<T>(
        &self,
        pool: &Pool,
        caller: Caller,
        mut attempt: impl AsyncFnMut(Attempt<'_>) -> Result<T, Failed>,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + pool.time;
        let permits = async {
            let newcomer = match caller {
                Caller::Holder => None,
                Caller::Newcomer => pool.newcomers.acquire().await.ok(),
            };
            (newcomer, pool.permits.acquire().await.ok())
        };
        let permits = timeout_at(deadline, permits).await;
        // Too late for a statement: it would be given up, and its connection with it.
        if permits.is_err() || Instant::now() + PAUSE >= deadline {
            return Err(Fault::NotDone(self.place.took_too_long("all of its connections were busy")));
        }
        let mut is_unknown = false;
        loop {
            let failed = match attempt(Attempt { pool, deadline }).await {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            is_unknown |= failed.is_unknown;
            if !failed.may_repeat || Instant::now() + PAUSE >= deadline {
                // What an earlier attempt has done counts, too.
                return Err(match is_unknown {
                    true => Fault::Unknown(failed.error),
                    false => Fault::NotDone(failed.error),
                });
            }
            if !failed.repeats_at_once {
                sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(&self, attempt: Attempt<'_>, statement: &str, parameters: Parameters<'_>) -> Outcome {
        let Attempt { pool, deadline } = attempt;
        let now = Instant::now();
        let (connection, was_idle) = match pool.take_idle() {
            Some(connection) => (connection, true),
            None => (self.connect_until(deadline).await?, false),
        };
        // One that was idle may have been lost without a notice: then there is time for a new one.
        let attempt_deadline = if was_idle { now + deadline.saturating_duration_since(now) / 2 } else { deadline };
        let sent = Clocks::now();
        let error = match timeout_at(attempt_deadline, connection.client.query_typed(statement, parameters)).await {
            Ok(Ok(rows)) => {
                pool.put_back(connection);
                return Ok((rows, sent));
            }
            Ok(Err(error)) => error,
            Err(_) => {
                connection.abort();
                // What is idle may be as dead.
                pool.idle.borrow_mut().clear();
                let error = self.place.took_too_long("a statement had no outcome");
                return Err(Failed { error, is_unknown: true, may_repeat: true, repeats_at_once: was_idle });
            }
        };
        let verdict = Verdict::of(&error);
        if matches!(verdict, Verdict::Repeat | Verdict::Refused) {
            pool.put_back(connection);
        } else {
            connection.abort();
        }
        Err(Failed {
            error: self.place.statement_failed(&error),
            is_unknown: matches!(verdict, Verdict::Lost | Verdict::Unknown),
            may_repeat: matches!(verdict, Verdict::Lost | Verdict::Repeat),
            repeats_at_once: was_idle && verdict == Verdict::Lost,
        })
    }

    async fn connect_until(&self, deadline: Instant) -> Result<Connection, Failed> {
        match timeout_at(deadline, (self.connect)()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                let may_repeat = connecting_may_pass(&error);
                Err(Failed { may_repeat, ..Failed::before_it_was_sent(self.place.not_connected(error)) })
            }
            Err(_) => Err(Failed::before_it_was_sent(self.place.took_too_long(NO_CONNECTION))),
        }
    }

    /// Closes the idle connections, and tells the server.
    pub(crate) async fn close(&self) {
        for pool in [&self.connections, &self.renewals] {
            while let Some(connection) = pool.take_idle() {
                connection.close().await;
            }
        }
    }
}

/// Returns the bounds of the names that begin with `prefix` and come after `after`: the first is in, the second is not.
fn range(prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let next = after.map(|after| following(after.as_bytes())).unwrap_or_default();
    let first = next.max(prefix.as_bytes().to_vec());
    // No byte of UTF-8 is 255, so that one can be added to the last.
    let end = match prefix.as_bytes() {
        [] => vec![u8::MAX],
        [start @ .., last] => [start, &[last + 1]].concat(),
    };
    (first, end)
}

/// Returns the bytes that follow these directly in order: the same, and a NUL.
fn following(bytes: &[u8]) -> Vec<u8> {
    [bytes, b"\0"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_names_of_a_prefix_after_another_one() {
        let names = ["", "\0", "a", "a\0", "a\0b", "aa", "a\u{10ffff}", "b", "\u{10ffff}", "\u{10ffff}z"];
        for prefix in names {
            for after in names.map(Some).into_iter().chain([None]) {
                let (first, end) = range(prefix, after);
                let is_in = |name: &str| name.as_bytes() >= &first[..] && name.as_bytes() < &end[..];
                let wanted = |name: &str| name.starts_with(prefix) && after.is_none_or(|after| name > after);
                for name in names {
                    assert_eq!(is_in(name), wanted(name), "{name:?} {prefix:?} {after:?}");
                }
            }
        }
    }
}
